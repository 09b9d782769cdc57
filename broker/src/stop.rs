//! Tells every task that the broker stops.

use tokio::sync::watch;

/// The broker's one stop signal; it is given once and stays given.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Gives the signal.
    pub(crate) fn request(&self) {
        self.0.send_replace(true);
    }

    /// Ends when the signal has been given.
    pub(crate) async fn requested(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so the channel cannot be closed while this waits.
        let _ = receiver.wait_for(|is_requested| *is_requested).await;
    }

    /// Whether the signal has been given.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}
