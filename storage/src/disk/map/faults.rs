//! Faults of mapped files: a page that the disk cannot read or has no room for, or a file that was cut from outside.
//!
//! They come as SIGBUS, whose default action ends the process. Here the windows of all maps are known; a fault in one of
//! them puts a page of zeros in the place of the one that is not there, marks the window, and lets the thread go on. Who
//! copies into the window or out of it looks at the mark before anybody believes in the bytes. Any other fault takes its
//! old course.
//!
//! The handler takes no lock and allocates nothing: windows stand in slots that are never freed, only used again.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Once, OnceLock};

use parking_lot::Mutex;

const SLOTS_PER_CHUNK: usize = 256;

/// A window, if `end` is not 0.
#[derive(Debug)]
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    has_failed: AtomicBool,
}

struct Chunk {
    slots: [Slot; SLOTS_PER_CHUNK],
    next: *const Chunk,
}

/// The newest chunk, from which the others are reached.
static CHUNKS: AtomicPtr<Chunk> = AtomicPtr::new(ptr::null_mut());
static FREE: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);
/// What SIGBUS did before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// A window whose faults are contained as long as this lives. It must go before the memory does.
#[derive(Debug)]
pub(super) struct Watch(&'static Slot);

impl Watch {
    /// Watches `len` bytes from `start` on.
    pub(super) fn over(start: *const u8, len: usize) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(install);
        let slot = free_slot();
        slot.has_failed.store(false, Ordering::Relaxed);
        slot.start.store(start as usize, Ordering::Relaxed);
        slot.end.store(start as usize + len, Ordering::Release);
        Self(slot)
    }

    /// Fails if something in the window was not there when somebody looked at it or copied into it.
    ///
    /// # Errors
    /// From then on for ever: the window is not the file any more.
    pub(super) fn check(&self) -> io::Result<()> {
        // The handler runs on the thread that faulted, so what was copied before this line has been.
        compiler_fence(Ordering::SeqCst);
        match self.0.has_failed.load(Ordering::Acquire) {
            true => Err(io::Error::other(
                "a mapped part of the file could not be read or written",
            )),
            false => Ok(()),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.end.store(0, Ordering::Release);
        FREE.lock().push(self.0);
    }
}

fn free_slot() -> &'static Slot {
    let mut free = FREE.lock();
    loop {
        if let Some(slot) = free.pop() {
            return slot;
        }
        // Under the lock of `FREE`, so nobody else adds a chunk.
        let chunk: &'static Chunk = Box::leak(Box::new(Chunk {
            slots: std::array::from_fn(|_| Slot {
                start: AtomicUsize::new(0),
                end: AtomicUsize::new(0),
                has_failed: AtomicBool::new(false),
            }),
            next: CHUNKS.load(Ordering::Relaxed),
        }));
        CHUNKS.store(ptr::from_ref(chunk).cast_mut(), Ordering::Release);
        free.extend(&chunk.slots);
    }
}

fn install() {
    PAGE_BYTES.store(rustix::param::page_size(), Ordering::Relaxed);
    // SAFETY: all-zero is a valid `sigaction`: no flags, an empty mask, and a handler that is set below.
    let (mut action, mut before) = unsafe { (std::mem::zeroed::<libc::sigaction>(), std::mem::zeroed()) };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: both point to live structures, and `on_fault` has the signature that SA_SIGINFO asks for. It does only
    // what a signal handler may do.
    let installed = unsafe { libc::sigaction(libc::SIGBUS, &action, &mut before) };
    match installed {
        0 => drop(BEFORE.set(before)),
        _ => tracing::warn!(error = %io::Error::last_os_error(), "a fault in a mapped file will end the process"),
    }
}

extern "C" fn on_fault(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t`; with a positive code, which only it gives, a SIGBUS has an address.
    let fault = unsafe { ((*info).si_code > 0).then(|| (*info).si_addr() as usize) };
    if fault.is_some_and(contain) {
        return;
    }
    let Some(before) = BEFORE.get() else { return };
    // SAFETY: `before` is what the kernel gave us. Where the instruction faults again it takes the old course; a signal
    // that was sent is sent once more. Both calls are allowed in a handler.
    unsafe {
        libc::sigaction(libc::SIGBUS, before, ptr::null_mut());
        if fault.is_none() {
            libc::raise(libc::SIGBUS);
        }
    }
}

/// Puts zeros in the place of the page with `address`, if it is of a window, and marks the window.
fn contain(address: usize) -> bool {
    let mut chunk = CHUNKS.load(Ordering::Acquire).cast_const();
    // SAFETY: chunks are leaked, so each pointer that was published stays valid; `next` never changes.
    while let Some(slots) = unsafe { chunk.as_ref() } {
        for slot in &slots.slots {
            let end = slot.end.load(Ordering::Acquire);
            if address < end && slot.start.load(Ordering::Relaxed) <= address {
                slot.has_failed.store(true, Ordering::Release);
                return put_zeros(address);
            }
        }
        chunk = slots.next;
    }
    false
}

fn put_zeros(address: usize) -> bool {
    let page_bytes = PAGE_BYTES.load(Ordering::Relaxed);
    let page = address - address % page_bytes;
    // SAFETY: the page is of a window that the faulting thread holds, so it is ours and stays mapped; nothing but the
    // window refers to it, and its bytes were not readable. mmap is a bare system call, and errno is put back.
    unsafe {
        let errno = *libc::__errno_location();
        let mapped = libc::mmap(
            page as *mut libc::c_void,
            page_bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        );
        *libc::__errno_location() = errno;
        mapped != libc::MAP_FAILED
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;
    use crate::testing::scratch;

    const CHILD: &str = "OTTLA_TEST_FAULTS";

    #[test]
    fn a_fault_elsewhere_ends_the_process_as_ever() {
        if std::env::var_os(CHILD).is_some() {
            let dir = scratch("faults");
            let file = std::fs::File::create_new(dir.path().join("file")).unwrap();
            file.set_len(4096).unwrap();
            let elsewhere = memmap2::MmapOptions::new().len(4096).map_raw(&file).unwrap();
            let watched = memmap2::MmapOptions::new().len(4096).map_raw(&file).unwrap();
            let _watch = Watch::over(watched.as_ptr(), watched.len());
            file.set_len(0).unwrap();
            // SAFETY: the address is of a live map; the fault is what is wanted.
            unsafe { elsewhere.as_ptr().read_volatile() };
            unreachable!("the fault ends the process");
        }
        let name = "disk::map::faults::tests::a_fault_elsewhere_ends_the_process_as_ever";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
    }
}
