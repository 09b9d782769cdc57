//! `http.listener`, a key of our own: where metrics and reports are served.

use super::ConfigError;
use ottla_replication::config::ConfigValues;

/// The key.
pub(super) const HTTP_LISTENER: &str = "http.listener";

/// Without the key: this port, on loopback only.
pub(crate) const DEFAULT_HTTP_PORT: u16 = 9464;

/// An address for HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpListener {
    /// A name or an address.
    pub host: String,
    /// 0 lets the system choose.
    pub port: u16,
    /// Nobody asked for it: if the address is taken, the broker does without.
    pub is_default: bool,
}

/// The address; `None` where the key is empty, which switches HTTP off.
pub(super) fn parse(values: &ConfigValues) -> Result<Option<HttpListener>, ConfigError> {
    let Some(text) = values.get(HTTP_LISTENER) else {
        return Ok(Some(HttpListener {
            host: "127.0.0.1".to_owned(),
            port: DEFAULT_HTTP_PORT,
            is_default: true,
        }));
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let unusable = |reason: &str| ConfigError::Unusable {
        key: HTTP_LISTENER,
        reason: format!("{text}: {reason}"),
    };
    let address = text.strip_prefix("http://");
    let address = address.ok_or_else(|| unusable("expected http://HOST:PORT"))?;
    let (host, port) = address
        .rsplit_once(':')
        .ok_or_else(|| unusable("expected http://HOST:PORT"))?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() {
        return Err(unusable(
            "name a host; 0.0.0.0 stands for all addresses of this machine",
        ));
    }
    Ok(Some(HttpListener {
        host: host.to_owned(),
        port: port
            .parse()
            .map_err(|_| unusable("the port is no number from 0 to 65535"))?,
        is_default: false,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<(String, u16)>, String> {
        let values = [(HTTP_LISTENER.into(), text.into())].into_iter().collect();
        let parsed = parse(&values).map_err(|error| error.to_string())?;
        Ok(parsed.map(|http| (http.host, http.port)))
    }

    #[test]
    fn without_the_key_it_is_loopback_alone_and_an_empty_one_switches_it_off() {
        let http = parse(&ConfigValues::new()).expect("no key is fine").expect("a default");
        assert_eq!((&*http.host, http.is_default), ("127.0.0.1", true));
        assert_eq!(parsed(" "), Ok(None));
        assert_eq!(parsed("http://[::1]:0"), Ok(Some(("::1".into(), 0))));
    }

    #[test]
    fn wrong_addresses_are_refused_with_key_and_reason() {
        for wrong in [
            "127.0.0.1:1",
            "https://a:1",
            "http://a",
            "http://a:b",
            "http://:1",
            "http://a:70000",
        ] {
            let refused = parsed(wrong).expect_err(wrong);
            assert!(
                refused.starts_with("http.listener: ") && refused.contains(wrong),
                "{refused}"
            );
        }
    }
}
