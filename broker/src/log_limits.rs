//! Keeps a flood of the same complaint out of the log.

use crate::net::{admission::Full, connection::Closed};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Lines of one kind that are written per window.
const LINES_PER_WINDOW: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// Rate limits of what clients can make the broker log.
#[derive(Debug, Default)]
pub(crate) struct LogLimits {
    refused_connections: Window,
    too_many_connections: Window,
}

#[derive(Debug, Default)]
struct Window(Mutex<Option<(Instant, u32)>>);

impl Window {
    /// How many lines were left out before this one, if this one may be written.
    fn admit(&self, now: Instant) -> Option<u32> {
        let mut window = self.0.lock();
        match window.as_mut() {
            Some((start, count)) if now.duration_since(*start) < WINDOW => {
                *count += 1;
                (*count <= LINES_PER_WINDOW).then_some(0)
            }
            _ => {
                let left_out = window.map_or(0, |(_, count)| count.saturating_sub(LINES_PER_WINDOW));
                *window = Some((now, 1));
                Some(left_out)
            }
        }
    }
}

impl LogLimits {
    /// A connection that the broker closed, or that broke.
    pub(crate) fn refused_connection(&self, client: SocketAddr, closed: &Closed) {
        if let Some(left_out) = self.refused_connections.admit(Instant::now()) {
            tracing::info!(%client, reason = %closed, left_out, "connection closed");
        }
    }

    /// A connection that was not taken.
    pub(crate) fn too_many_connections(&self, client: SocketAddr, full: Full) {
        if let Some(left_out) = self.too_many_connections.admit(Instant::now()) {
            match full {
                Full::Total(limit) => tracing::warn!(%client, limit, left_out, "max.connections reached"),
                Full::PerIp(limit) => tracing::warn!(%client, limit, left_out, "max.connections.per.ip reached"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let (window, start) = (Window::default(), Instant::now());
        let admitted = (0..100).filter(|_| window.admit(start).is_some()).count();
        assert_eq!(admitted as u32, LINES_PER_WINDOW);
        assert_eq!(window.admit(start + WINDOW), Some(100 - LINES_PER_WINDOW));
    }
}
