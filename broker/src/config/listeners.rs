//! `listeners`, `advertised.listeners` and the security protocol of each.

use super::ConfigError;
use ottla_protocol::Str;
use ottla_replication::config::ConfigValues;
use std::{collections::BTreeMap, fs};

/// A listener's name and an address of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// For instance `PLAINTEXT`.
    pub name: Str,
    /// A name or an address; empty says all addresses of this machine.
    pub host: Str,
    /// 0 lets the system choose.
    pub port: u16,
}

/// The controller's listener where none is configured.
const DEFAULT_CONTROLLER: (&str, &str, u16) = ("CONTROLLER", "localhost", 9093);

/// The addresses to bind. Controller listeners are left out: a single node talks to its quorum by itself.
pub(super) fn parse_listeners(values: &ConfigValues, default: &str) -> Result<Vec<Endpoint>, ConfigError> {
    let text = values.get("listeners").map_or(default, |text| text.as_str());
    let controllers = controller_names(values);
    let protocols = security_protocols(values);
    let served: Vec<Endpoint> = parse("listeners", text)?
        .into_iter()
        .filter(|endpoint| !controllers.iter().any(|name| **name == *endpoint.name))
        .collect();
    for endpoint in &served {
        let protocol = protocols
            .get(endpoint.name.as_str())
            .map_or(endpoint.name.as_str(), |name| name.as_str());
        if protocol != "PLAINTEXT" {
            let reason = format!(
                "listener {} has security protocol {protocol}; only PLAINTEXT is served",
                endpoint.name
            );
            return Err(ConfigError::Unusable {
                key: "listeners",
                reason,
            });
        }
    }
    match served.is_empty() {
        true => Err(ConfigError::Unusable {
            key: "listeners",
            reason: "there is no listener for clients".into(),
        }),
        false => Ok(served),
    }
}

/// The address of this node's controller: the first of `controller.listener.names`, as `advertised.listeners` or
/// `listeners` have it.
pub(super) fn parse_controller_listener(values: &ConfigValues) -> Result<Endpoint, ConfigError> {
    let names = controller_names(values);
    let name = names.first().map_or(DEFAULT_CONTROLLER.0, String::as_str);
    for key in ["advertised.listeners", "listeners"] {
        let endpoints = parse(key, values.get(key).map_or("", |text| text.as_str()))?;
        if let Some(endpoint) = endpoints.into_iter().find(|endpoint| *endpoint.name == *name) {
            return Ok(with_host(endpoint));
        }
    }
    Ok(Endpoint {
        name: name.into(),
        host: DEFAULT_CONTROLLER.1.into(),
        port: DEFAULT_CONTROLLER.2,
    })
}

fn controller_names(values: &ConfigValues) -> Vec<String> {
    let names = values
        .get("controller.listener.names")
        .map_or("", |names| names.as_str());
    let names = names.split(',').map(|name| name.trim().to_uppercase());
    names.filter(|name| !name.is_empty()).collect()
}

/// What clients are told: `advertised.listeners`, or the listeners with a name for "all addresses".
pub(super) fn parse_advertised(values: &ConfigValues, listeners: &[Endpoint]) -> Result<Vec<Endpoint>, ConfigError> {
    let Some(text) = values.get("advertised.listeners") else {
        return Ok(listeners.iter().cloned().map(with_host).collect());
    };
    let advertised = parse("advertised.listeners", text)?;
    let given = |name: &Str| advertised.iter().find(|endpoint| endpoint.name == *name).cloned();
    if let Some(unroutable) = advertised.iter().find(|endpoint| endpoint.host == "0.0.0.0") {
        let reason = format!(
            "clients cannot reach 0.0.0.0 (listener {}); name an address",
            unroutable.name
        );
        return Err(ConfigError::Unusable {
            key: "advertised.listeners",
            reason,
        });
    }
    Ok(listeners
        .iter()
        .map(|bound| given(&bound.name).unwrap_or_else(|| bound.clone()))
        .map(with_host)
        .collect())
}

/// Gives a listener on all addresses the name of this machine.
fn with_host(endpoint: Endpoint) -> Endpoint {
    match endpoint.host.as_str() {
        "" | "0.0.0.0" | "::" => Endpoint {
            host: host_name(),
            ..endpoint
        },
        _ => endpoint,
    }
}

fn host_name() -> Str {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => Str::from_static("localhost"),
        name => name.into(),
    }
}

/// `listener.security.protocol.map`: the protocol by listener name; a name without entry is its own protocol.
fn security_protocols(values: &ConfigValues) -> BTreeMap<String, String> {
    let text = values
        .get("listener.security.protocol.map")
        .map_or("", |text| text.as_str());
    let pairs = text.split(',').filter_map(|pair| pair.split_once(':'));
    pairs
        .map(|(name, protocol)| (name.trim().to_uppercase(), protocol.trim().to_uppercase()))
        .collect()
}

fn parse(key: &'static str, text: &str) -> Result<Vec<Endpoint>, ConfigError> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let unusable = |reason: &str| ConfigError::Unusable {
            key,
            reason: format!("{part}: {reason}"),
        };
        let (name, address) = part
            .split_once("://")
            .ok_or_else(|| unusable("expected NAME://HOST:PORT"))?;
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| unusable("expected NAME://HOST:PORT"))?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let port = port
            .parse()
            .map_err(|_| unusable("the port is no number from 0 to 65535"))?;
        let name = name.to_uppercase();
        if endpoints.iter().any(|endpoint| *endpoint.name == *name) {
            return Err(unusable("the listener's name is there twice"));
        }
        endpoints.push(Endpoint {
            name: name.into(),
            host: host.into(),
            port,
        });
    }
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> ConfigValues {
        pairs
            .iter()
            .map(|(key, value)| (Str::from(*key), Str::from(*value)))
            .collect()
    }

    #[test]
    fn controller_listeners_are_not_bound_and_names_map_to_protocols() {
        let values = values(&[
            ("listeners", "EXTERNAL://localhost:0, CONTROLLER://localhost:0"),
            ("controller.listener.names", "CONTROLLER"),
            (
                "listener.security.protocol.map",
                "CONTROLLER:PLAINTEXT,EXTERNAL:PLAINTEXT",
            ),
        ]);
        let listeners = parse_listeners(&values, "").expect("well-formed");
        assert_eq!(
            listeners,
            [Endpoint {
                name: "EXTERNAL".into(),
                host: "localhost".into(),
                port: 0
            }]
        );
    }

    #[test]
    fn the_controller_is_where_its_listener_is() {
        let controller = |pairs: &[(&str, &str)]| {
            let endpoint = parse_controller_listener(&values(pairs)).expect("well-formed");
            (endpoint.name.to_string(), endpoint.host.to_string(), endpoint.port)
        };
        assert_eq!(controller(&[]), ("CONTROLLER".into(), "localhost".into(), 9093));
        let listeners = ("listeners", "PLAINTEXT://a:1,CTL://b:2");
        let name = ("controller.listener.names", "ctl");
        assert_eq!(controller(&[listeners, name]), ("CTL".into(), "b".into(), 2));
        let advertised = ("advertised.listeners", "PLAINTEXT://c:3,CTL://d:4");
        assert_eq!(
            controller(&[listeners, name, advertised]),
            ("CTL".into(), "d".into(), 4)
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_reason() {
        let listeners = |text: &str| {
            parse_listeners(&values(&[("listeners", text)]), "")
                .expect_err(text)
                .to_string()
        };
        assert!(listeners("SSL://:9093").contains("only PLAINTEXT is served"));
        assert!(listeners("PLAINTEXT://a:b").contains("no number"));
        assert!(listeners("PLAINTEXT:9092").contains("NAME://HOST:PORT"));
        assert!(listeners("PLAINTEXT://a:1,PLAINTEXT://b:2").contains("twice"));
    }

    #[test]
    fn brackets_of_ipv6_addresses_go() {
        let parsed = parse("listeners", "PLAINTEXT://[::1]:9092").expect("well-formed");
        assert_eq!(parsed[0].host, "::1");
    }
}
