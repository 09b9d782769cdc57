//! Asks the broker's HTTP endpoint: HTTP/1.1, one request a connection.

use crate::{
    config::DEFAULT_HTTP_PORT,
    http::{ErrorAnswer, GroupAnswer, GroupsAnswer},
    lag::{GroupReport, GroupSummary},
};
use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// The longest that a connection or an answer may take.
const PATIENCE: Duration = Duration::from_secs(12);
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// The largest answer that is taken.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpAddress(String);

impl HttpAddress {
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let address = address.filter(|address| address.contains(':') && !address.contains('/'));
        let address = address.with_context(|| format!("--http {url}: expected http://HOST:PORT"))?;
        Ok(Self(address.to_owned()))
    }

    /// The usual port of the host that a broker is on.
    pub(super) fn beside(bootstrap: &str) -> Self {
        let host = bootstrap.rsplit_once(':').map_or(bootstrap, |(host, _)| host);
        Self(format!("{host}:{DEFAULT_HTTP_PORT}"))
    }

    /// The answer to a GET: its status and its body.
    fn get(&self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let unreachable = || format!("http://{} does not answer", self.0);
        let mut addresses = self.0.to_socket_addrs().with_context(unreachable)?;
        let address = addresses.next().with_context(unreachable)?;
        let mut socket = TcpStream::connect_timeout(&address, CONNECT_PATIENCE).with_context(unreachable)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.0);
        socket.write_all(request.as_bytes()).with_context(unreachable)?;
        let mut answer = Vec::new();
        let mut bounded = socket.take(ANSWER_BYTES_MAX);
        bounded.read_to_end(&mut answer).with_context(unreachable)?;
        split(&answer).with_context(|| format!("http://{} does not speak HTTP/1.1", self.0))
    }

    /// The JSON at `path`; `None` where there is nothing.
    fn get_json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        let (status, body) = self.get(path)?;
        let strange = || format!("http://{}{path} is not of a broker like this one", self.0);
        match status {
            200 => Ok(Some(serde_json::from_slice(&body).with_context(strange)?)),
            404 => Ok(None),
            status => {
                let reason = serde_json::from_slice::<ErrorAnswer>(&body).map(|answer| answer.error);
                bail!(
                    "http://{}{path}: status {status} {}",
                    self.0,
                    reason.unwrap_or_default()
                )
            }
        }
    }
}

/// Status and body of an answer whose body has the length that the head says.
fn split(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok()).flatten()
    })?;
    let body = &answer[end + 4..];
    (body.len() == length).then(|| (status, body.to_vec()))
}

/// The broker's own figures of the lag of groups.
#[derive(Debug)]
pub(super) struct Lags {
    address: HttpAddress,
    all: GroupsAnswer,
}

impl Lags {
    /// Asks for all groups.
    ///
    /// # Errors
    /// Nobody answers, or the answer is of another cluster.
    pub(super) fn connect(address: HttpAddress, cluster_id: &str) -> anyhow::Result<Self> {
        let all: Option<GroupsAnswer> = address.get_json("/v1/groups")?;
        let all = all.with_context(|| format!("http://{} has no groups to tell of", address.0))?;
        ensure!(
            all.cluster_id == cluster_id,
            "http://{} is of cluster {}, not {cluster_id}",
            address.0,
            all.cluster_id
        );
        Ok(Self { address, all })
    }

    /// All groups in few words.
    pub(super) fn of_all(&self) -> anyhow::Result<HashMap<&str, &GroupSummary>> {
        if self.all.offsets_left_out > 0 {
            eprintln!("{} committed offsets are not in the sums", self.all.offsets_left_out);
        }
        let groups = self.all.groups.iter();
        Ok(groups.map(|group| (group.group.as_str(), group)).collect())
    }

    /// One group; `None` if the broker does not know it any more.
    pub(super) fn of_group(&self, id: &str) -> anyhow::Result<Option<GroupReport>> {
        let answer: Option<GroupAnswer> = self.address.get_json(&format!("/v1/groups/{}", encoded(id)))?;
        Ok(answer.map(|answer| answer.group))
    }
}

/// Any text as one part of a path.
fn encoded(text: &str) -> String {
    let mut path = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => path.push(byte.into()),
            // Writing to a String cannot fail.
            other => drop(write!(path, "%{other:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_texts() {
        assert_eq!(HttpAddress::parse("http://a:1/").expect("fine").0, "a:1");
        assert_eq!(HttpAddress::beside("[::1]:9092").0, "[::1]:9464");
        for wrong in ["a:1", "https://a:1", "http://a", "http://a:1/metrics"] {
            assert!(HttpAddress::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_name_is_one_part_of_a_path() {
        assert_eq!(encoded("a/b ü.%"), "a%2Fb%20%C3%BC%2E%25");
    }

    #[test]
    fn a_cut_answer_is_none() {
        let whole = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(split(whole), Some((404, b"ok".to_vec())));
        for length in 0..whole.len() {
            assert_eq!(split(&whole[..length]), None);
        }
    }
}
