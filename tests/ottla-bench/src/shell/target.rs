//! The brokers that are compared: started here, or elsewhere.

use super::{
    launch::{self, JVM_OPTIONS, LocalBroker, Program, SETTINGS},
    process::Process,
    token::{self, Tokens},
};
use crate::core::report::{BrokerFacts, Setting};
use anyhow::Context;
use rdkafka::{ClientContext, client::Client};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

/// What is said on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The binary, started here.
    Ottla,
    /// Apache Kafka, started here.
    Kafka,
    /// A broker that runs somewhere.
    At(String),
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "ottla" => Ok(Self::Ottla),
            "kafka" => Ok(Self::Kafka),
            address
                if address
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) =>
            {
                Ok(Self::At(address.to_owned()))
            }
            other => Err(format!("{other} is neither ottla nor kafka nor HOST:PORT")),
        }
    }
}

/// Where programs are looked for.
#[derive(Clone, Debug)]
pub struct Places {
    /// The binary; looked for where `None`.
    pub ottla: Option<PathBuf>,
    /// tests/lib.
    pub lib: PathBuf,
    /// Apache Kafka's, if Maven is not to bring it.
    pub class_path: Option<String>,
}

/// A broker that is measured.
#[derive(Debug)]
pub struct Target {
    /// ottla, kafka, or the address.
    pub name: String,
    /// bootstrap.servers.
    pub bootstrap: String,
    /// For every client, on top of its own.
    pub properties: Vec<(String, String)>,
    /// The program, where it was started here.
    pub program: Option<Program>,
    tokens: Option<Tokens>,
    local: Option<LocalBroker>,
}

impl Target {
    /// Starts it below `scratch`, or remembers where it is.
    ///
    /// # Errors
    /// It does not start, or a program is not found.
    pub fn open(
        wanted: &Wanted,
        places: &Places,
        properties: &[(String, String)],
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        let (name, program) = match wanted {
            Wanted::Ottla => ("ottla", Program::Ottla(ottla(places)?)),
            Wanted::Kafka => ("kafka", launch::kafka(&places.lib, places.class_path.clone())?),
            Wanted::At(address) => {
                let is_ours = |(key, _): &&(String, String)| key == token::COMMAND;
                let command = properties.iter().find(is_ours);
                return Ok(Self {
                    name: address.clone(),
                    bootstrap: address.clone(),
                    properties: properties.iter().filter(|pair| !is_ours(pair)).cloned().collect(),
                    program: None,
                    tokens: command.map(|(_, command)| Tokens::of(command.clone())),
                    local: None,
                });
            }
        };
        let local =
            LocalBroker::start(program.clone(), &scratch.join(name)).with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            bootstrap: local.address().to_string(),
            properties: Vec::new(),
            program: Some(program),
            tokens: None,
            local: Some(local),
        })
    }

    /// Gives a client its token, where this broker wants one.
    ///
    /// # Errors
    /// There is none.
    pub fn authenticate<C: ClientContext>(&self, client: &Client<C>) -> anyhow::Result<()> {
        self.tokens.as_ref().map_or(Ok(()), |tokens| tokens.give(client))
    }

    /// Its process; `None` where it is elsewhere.
    pub fn process(&self) -> Option<Process> {
        self.local.as_ref().map(LocalBroker::process)
    }

    /// Where its logs are; `None` where it is elsewhere.
    pub fn data(&self) -> Option<PathBuf> {
        self.local.as_ref().map(LocalBroker::data)
    }

    /// Where connections that speak the protocol by hand go. They know neither TLS nor SASL.
    ///
    /// # Errors
    /// The broker wants more than plaintext, or its name has no address.
    pub fn plain_address(&self) -> anyhow::Result<SocketAddr> {
        use std::net::ToSocketAddrs;
        let mut addresses = self
            .bootstrap
            .to_socket_addrs()
            .with_context(|| format!("where is {}?", self.bootstrap))?;
        addresses
            .next()
            .with_context(|| format!("{} has no address", self.bootstrap))
    }

    /// Whether clients without librdkafka can speak to it.
    pub fn is_plaintext(&self) -> bool {
        let protocol = self.properties.iter().find(|(key, _)| key == "security.protocol");
        protocol.is_none_or(|(_, value)| value.eq_ignore_ascii_case("plaintext"))
    }

    /// That it still runs, where that can be known.
    ///
    /// # Errors
    /// It has ended.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        self.local.as_mut().map_or(Ok(()), LocalBroker::ensure_running)
    }

    /// What a report says of it.
    pub fn facts(&self) -> BrokerFacts {
        let settings = SETTINGS.map(|(key, value)| Setting::new(key, value));
        let (version, settings) = match &self.program {
            Some(Program::Ottla(binary)) => (said(Command::new(binary).arg("--version")), settings.to_vec()),
            Some(Program::Kafka { class_path, .. }) => {
                let mut settings = settings.to_vec();
                settings.push(Setting::new("JVM", JVM_OPTIONS.join(" ")));
                let java = said(Command::new("java").arg("-version"));
                (format!("Apache Kafka {}, {java}", kafka_version(class_path)), settings)
            }
            None => ("elsewhere".to_owned(), self.shown_properties()),
        };
        BrokerFacts {
            name: self.name.clone(),
            version,
            settings,
        }
    }

    /// The clients' properties without what is secret.
    fn shown_properties(&self) -> Vec<Setting> {
        let open = [
            "security.protocol",
            "sasl.mechanism",
            "sasl.mechanisms",
            "enable.ssl.certificate.verification",
        ];
        let shown = self.properties.iter().map(|(key, value)| {
            let value = if open.contains(&key.as_str()) {
                value.as_str()
            } else {
                "(set)"
            };
            Setting::new(key.clone(), value)
        });
        shown.collect()
    }
}

/// The first line of what a command says on either stream.
fn said(command: &mut Command) -> String {
    let Ok(output) = command.output() else {
        return "unknown".to_owned();
    };
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both);
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}

/// By the name of its jar.
fn kafka_version(class_path: &str) -> &str {
    let name = class_path
        .split(':')
        .find_map(|jar| jar.rsplit('/').next()?.strip_prefix("kafka_2.13-"));
    name.and_then(|name| name.strip_suffix(".jar"))
        .unwrap_or("of an unknown version")
}

/// The binary: as named, beside this program, or as Cargo builds it.
fn ottla(places: &Places) -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join("ottla")));
    let built = places.lib.join("../../target/release/ottla");
    let mut candidates = vec![];
    match &places.ottla {
        Some(named) => candidates.push(named.clone()),
        None => candidates.extend(beside.into_iter().chain([built])),
    }
    let found = candidates.iter().find(|path| path.is_file()).cloned();
    found.with_context(|| {
        let looked: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        format!(
            "no ottla at {}: build it (cargo build --release), or name it with --ottla-bin",
            looked.join(" nor ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_or_an_address() {
        assert_eq!("ottla".parse(), Ok(Wanted::Ottla));
        assert_eq!("b-1.example:9098".parse(), Ok(Wanted::At("b-1.example:9098".into())));
        for wrong in ["redpanda", ":9092", "host:", "host:99999"] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_version_of_kafka_is_that_of_its_jar() {
        assert_eq!(kafka_version("/x/ours.jar:/x/kafka_2.13-4.4.0.jar:/x/a.jar"), "4.4.0");
        assert_eq!(kafka_version("/x/ours.jar"), "of an unknown version");
    }

    #[test]
    fn a_report_does_not_tell_passwords() {
        let target = Target {
            name: "a:1".into(),
            bootstrap: "a:1".into(),
            properties: vec![
                ("sasl.password".into(), "hunter2".into()),
                ("security.protocol".into(), "SASL_SSL".into()),
            ],
            program: None,
            tokens: None,
            local: None,
        };
        let shown = format!("{:?}", target.facts());
        assert!(!shown.contains("hunter2") && shown.contains("SASL_SSL"));
        assert!(!target.is_plaintext());
    }
}
