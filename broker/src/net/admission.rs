//! Which connections are let in, and how fast: `max.connections`, `max.connections.per.ip` with its overrides, and
//! `max.connection.creation.rate`.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// What the settings allow now.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) total: usize,
    /// For the address that asks, its override included.
    pub(crate) per_ip: usize,
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// `max.connections` are open.
    Total(usize),
    /// `max.connections.per.ip` are open from this address.
    PerIp(usize),
}

/// The connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Admission(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl Admission {
    /// Counts a connection from `ip`, which must be taken off again with [`Admission::leave`].
    ///
    /// # Errors
    /// There are as many as the settings allow; it is not counted.
    pub(crate) fn enter(&self, ip: IpAddr, limits: &Limits) -> Result<(), Full> {
        let mut open = self.0.lock();
        if open.total >= limits.total {
            return Err(Full::Total(limits.total));
        }
        let from_ip = open.by_ip.get(&ip).copied().unwrap_or(0);
        if from_ip >= limits.per_ip {
            return Err(Full::PerIp(limits.per_ip));
        }
        open.by_ip.insert(ip, from_ip + 1);
        open.total += 1;
        Ok(())
    }

    /// How many connections are open.
    pub(crate) fn open_count(&self) -> usize {
        self.0.lock().total
    }

    /// A connection from `ip` has ended.
    pub(crate) fn leave(&self, ip: IpAddr) {
        let mut open = self.0.lock();
        open.total = open.total.saturating_sub(1);
        let from_ip = open.by_ip.get(&ip).copied().unwrap_or(0);
        if from_ip > 1 {
            open.by_ip.insert(ip, from_ip - 1);
        } else {
            open.by_ip.remove(&ip);
        }
    }
}

/// The limit for `ip`: its entry in `max.connections.per.ip.overrides` (`ADDRESS:COUNT,...`), or `general`.
pub(crate) fn limit_for(ip: IpAddr, overrides: &str, general: usize) -> usize {
    let entries = overrides.split(',').filter_map(|entry| entry.trim().rsplit_once(':'));
    let own = entries.filter(|(address, _)| {
        let address = address.trim().trim_start_matches('[').trim_end_matches(']');
        address.parse() == Ok(ip)
    });
    let mut counts = own.filter_map(|(_, count)| count.trim().parse().ok());
    counts.next_back().unwrap_or(general)
}

/// How long to wait between connections so that no more than a number a second are taken; a second's worth may come
/// at once.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// The time up to which connections have been paid for.
    paid_until: Option<Instant>,
}

impl Rate {
    /// A connection was taken at `now`: how long the next one has to wait. `per_second` below one counts as one.
    pub(crate) fn pause(&mut self, per_second: u32, now: Instant) -> Duration {
        let price = Duration::from_secs(1) / per_second.max(1);
        let burst = Duration::from_secs(1) - price;
        let paid_until = self.paid_until.map_or(now, |until| until.max(now)) + price;
        self.paid_until = Some(paid_until);
        paid_until.duration_since(now).saturating_sub(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    #[test]
    fn an_address_that_is_full_does_not_keep_others_out() {
        let admission = Admission::default();
        let limits = Limits { total: 3, per_ip: 2 };
        assert_eq!(admission.enter(HERE, &limits), Ok(()));
        assert_eq!(admission.enter(HERE, &limits), Ok(()));
        assert_eq!(admission.enter(HERE, &limits), Err(Full::PerIp(2)));
        assert_eq!(admission.enter(THERE, &limits), Ok(()));
        assert_eq!(admission.enter(THERE, &limits), Err(Full::Total(3)));
        admission.leave(HERE);
        assert_eq!(admission.enter(HERE, &limits), Ok(()));
    }

    #[test]
    fn addresses_that_have_gone_are_forgotten() {
        let admission = Admission::default();
        let limits = Limits { total: 10, per_ip: 10 };
        assert_eq!(admission.enter(HERE, &limits), Ok(()));
        admission.leave(HERE);
        assert!(admission.0.lock().by_ip.is_empty());
    }

    #[test]
    fn overrides_are_for_their_address_alone() {
        let overrides = "10.0.0.7:200, [::1]:5,nonsense";
        assert_eq!(limit_for(THERE, overrides, 9), 200);
        assert_eq!(limit_for(HERE, overrides, 9), 9);
        assert_eq!(limit_for("::1".parse().unwrap(), overrides, 9), 5);
    }

    #[test]
    fn a_seconds_worth_comes_at_once_and_then_one_after_the_other() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        let pauses: Vec<Duration> = (0..12).map(|_| rate.pause(10, now)).collect();
        // The tenth uses up the second: the eleventh waits for its turn.
        assert!(pauses[..9].iter().all(Duration::is_zero), "{pauses:?}");
        assert_eq!(pauses[9], Duration::from_millis(100));
        assert_eq!(pauses[10], Duration::from_millis(200));
        assert_eq!(rate.pause(10, now + Duration::from_secs(5)), Duration::ZERO);
    }
}
