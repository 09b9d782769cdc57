//! What every disk must do.

use super::*;
use crate::testing::scratch;

/// The contract of a disk, with a directory of its own to be tested in.
fn contract(disk: &dyn Disk, dir: &Path) {
    files_keep_what_is_written(disk, dir);
    preallocated_room_reads_as_zeros(disk, dir);
    tails_show_what_is_appended(disk, dir);
    names_change_and_go(disk, dir);
    files_are_replaced_whole(disk, dir);
}

fn files_keep_what_is_written(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("file");
    assert_eq!(
        disk.open(&path, OpenMode::Read).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    assert_eq!(
        disk.open(&path, OpenMode::Write).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    let file = disk.open(&path, OpenMode::Create).unwrap();
    file.write_at(&[IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")], 3)
        .unwrap();
    assert_eq!(file.len_bytes().unwrap(), 10);
    let mut buffer = [1; 20];
    assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 10);
    assert_eq!(&buffer[..10], b"\0\0\0one two");
    assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
    file.set_len(6).unwrap();
    assert_eq!(disk.status(&path).unwrap().len_bytes, 6);
    let again = disk.open(&path, OpenMode::Create).unwrap();
    assert_eq!(read_exact(&*again, 3, 3).unwrap(), b"one");
    assert_eq!(
        read_exact(&*again, 3, 4).unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    again.sync().unwrap();
}

fn preallocated_room_reads_as_zeros(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("allocated"), OpenMode::Create).unwrap();
    file.write_at(&[IoSlice::new(b"x")], 0).unwrap();
    file.allocate(3 * PAGE_BYTES).unwrap();
    file.allocate(PAGE_BYTES).unwrap();
    assert_eq!(file.len_bytes().unwrap(), 3 * PAGE_BYTES);
    let content = read_exact(&*file, 0, 3 * PAGE_BYTES as usize).unwrap();
    assert_eq!(content[0], b'x');
    assert!(content[1..].iter().all(|byte| *byte == 0));
    // What was written is never taken for room that was only allocated.
    let far = 40 * PAGE_BYTES;
    file.allocate(80 * PAGE_BYTES).unwrap();
    file.write_at(&[IoSlice::new(b"x")], far).unwrap();
    for range in [0..80 * PAGE_BYTES, 1..far + 1, PAGE_BYTES..far, far..far + 1] {
        let parts = file.written_in(range.clone()).unwrap();
        let is_told = |at: u64| parts.iter().any(|part| part.contains(&at));
        let is_in_order = parts.is_sorted_by(|one, next| one.end <= next.start);
        assert!(
            is_in_order
                && parts
                    .iter()
                    .all(|part| range.start <= part.start && part.end <= range.end)
        );
        assert_eq!(is_told(0), range.contains(&0));
        assert_eq!(is_told(far), range.contains(&far));
        file.sync().unwrap();
    }
}

fn tails_show_what_is_appended(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("tail"), OpenMode::Create).unwrap();
    file.allocate(64 * PAGE_BYTES).unwrap();
    let start = PAGE_BYTES + 10;
    let (mut writer, reader) = file.clone().tail(PAGE_BYTES..64 * PAGE_BYTES, start).unwrap();
    assert_eq!(
        (writer.written(), writer.end(), reader.readable()),
        (start, 64 * PAGE_BYTES, PAGE_BYTES..start)
    );
    let held = reader.clone().read(PAGE_BYTES..start).unwrap();

    let mut expected = vec![0; 10];
    // Some are copied into a map, some are written by a call.
    for (at, len) in [1, 100, 0, 40_000, 7, 33_000, 5].into_iter().enumerate() {
        let (one, two) = (vec![at as u8 + 1; len / 2], vec![at as u8 + 101; len - len / 2]);
        writer
            .append(&[IoSlice::new(&one), IoSlice::new(&two)], at % 3 == 1, &|| {
                Ok(file.clone())
            })
            .unwrap();
        expected.extend(one.into_iter().chain(two));
        let end = PAGE_BYTES + expected.len() as u64;
        assert_eq!(reader.readable(), PAGE_BYTES..end);
        assert_eq!(reader.clone().read(PAGE_BYTES..end).unwrap(), expected);
        assert_eq!(
            read_exact(&*file, PAGE_BYTES, expected.len()).unwrap(),
            expected,
            "the file has it too"
        );
    }
    let middle = reader.clone().read(PAGE_BYTES + 20..PAGE_BYTES + 30).unwrap();
    drop((writer, reader));
    assert_eq!(middle, expected[20..30], "bytes outlive the window");
    assert_eq!(held[..], [0; 10]);
}

fn names_change_and_go(disk: &dyn Disk, dir: &Path) {
    let below = dir.join("a").join("b");
    disk.create_dir(&below).unwrap();
    disk.create_dir(&below).unwrap();
    disk.open(&below.join("one"), OpenMode::Create).unwrap();
    disk.open(&below.join("two"), OpenMode::Create).unwrap();
    disk.rename(&below.join("two"), &below.join("one")).unwrap();
    disk.create_dir(&below.join("dir")).unwrap();
    let entry = |name: &str, is_dir| DirEntry {
        name: name.into(),
        is_dir,
    };
    assert_eq!(disk.list(&below).unwrap(), [entry("dir", true), entry("one", false)]);
    disk.remove_file(&below.join("one")).unwrap();
    assert_eq!(
        disk.remove_file(&below.join("one")).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    remove_if_exists(disk, &below.join("one")).unwrap();
    disk.sync_dir(&below).unwrap();
    disk.remove_dir(&dir.join("a")).unwrap();
    assert_eq!(disk.status(&below).unwrap_err().kind(), io::ErrorKind::NotFound);
}

fn files_are_replaced_whole(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("replaced");
    assert_eq!(read_file(disk, &path).unwrap(), None);
    replace_file(disk, &path, b"something long").unwrap();
    replace_file(disk, &path, b"short").unwrap();
    assert_eq!(read_file(disk, &path).unwrap().unwrap(), b"short");
}

#[test]
fn the_real_disk_keeps_the_contract() {
    contract(&RealDisk::new(), scratch("disk").path());
}

#[test]
fn the_disk_in_memory_keeps_the_contract() {
    let dir = Path::new("/disk");
    let disk = faulty::FaultyDisk::default();
    disk.create_dir(dir).unwrap();
    contract(&disk, dir);
}

#[test]
fn a_power_loss_takes_what_was_not_synced_and_nothing_else() {
    let (dir, mut random) = (Path::new("/disk"), crate::testing::Random::new(7));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let disk = faulty::FaultyDisk::default();
        let kept = disk.open(&dir.join("kept"), OpenMode::Create).unwrap();
        kept.write_at(&[IoSlice::new(&[1; 2000])], 0).unwrap();
        kept.sync().unwrap();
        disk.sync_dir(dir).unwrap();
        kept.write_at(&[IoSlice::new(&[2; 2000])], 1000).unwrap();
        disk.open(&dir.join("new"), OpenMode::Create).unwrap();
        disk.power_loss(&mut random);
        let content = read_file(&disk, &dir.join("kept")).unwrap().unwrap();
        assert!(content.len() == 2000 || content.len() == 3000);
        assert_eq!(content[..512], [1; 512]);
        seen.insert((content.len(), content[1500], disk.status(&dir.join("new")).is_ok()));
    }
    assert_eq!(seen.len(), 8, "everything happens: {seen:?}");
}

#[test]
fn the_real_disk_without_maps_keeps_the_contract() {
    contract(&RealDisk::without_maps(), scratch("disk").path());
}

#[test]
#[should_panic(expected = "is not within")]
fn what_is_not_written_cannot_be_read_from_a_map() {
    let dir = scratch("disk");
    let file = RealDisk::new()
        .open(&dir.path().join("tail"), OpenMode::Create)
        .unwrap();
    file.allocate(PAGE_BYTES).unwrap();
    let (_writer, reader) = file.tail(0..PAGE_BYTES, 10).unwrap();
    let _ = reader.read(0..11);
}
