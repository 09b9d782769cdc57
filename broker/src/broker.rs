//! The broker: what all handlers share, how it starts, and how it stops.

mod following;
mod registration;
mod topics;

use crate::{
    api::table,
    clock::now_ms,
    config::{BrokerConfig, Endpoint, HttpListener, TopicSettings},
    coordinators::Coordinators,
    fetching::session::Sessions,
    http,
    log_limits::LogLimits,
    log_store::LogStore,
    metrics::Metrics,
    net::{
        admission::{Admission, Limits, limit_for},
        listener::Listener,
    },
    partitions::Partitions,
    producer_ids::ProducerIds,
    runtime::{
        cleaner::LogCleaner,
        cold_reads::ColdReads,
        controller::{self, ControllerQueue, Turn},
        directories,
        housekeeping::{self, Housekeeper, Housekeeping},
        metadata_log::{MetadataLog, MetadataLogSettings},
        mover::{LogMover, Moves},
    },
    stop::Stop,
    transactions::TransactionCoordinators,
};
use anyhow::Context;
use arc_swap::ArcSwap;
use ottla_protocol::{ErrorCode, Str, ids::NodeId};
use ottla_replication::{
    config::{Layers, Value},
    controller::{Controller, Settings},
    image::MetadataImage,
    quorum::{Voter, VoterEndpoint},
};
use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    ops::Range,
    sync::{Arc, atomic::AtomicI64},
    thread,
};
use tokio::net::TcpListener;

/// What all parts of the process share.
pub(crate) struct Broker {
    pub(crate) config: BrokerConfig,
    pub(crate) node_id: NodeId,
    pub(crate) cluster_id: Str,
    /// Which registration of this node with the controller is in force.
    pub(crate) broker_epoch: AtomicI64,
    /// The metadata, as of the last write of the controller.
    pub(crate) image: ArcSwap<MetadataImage>,
    pub(crate) controller: ControllerQueue,
    pub(crate) housekeeper: Housekeeper,
    pub(crate) metadata_log: Arc<MetadataLog>,
    pub(crate) logs: LogStore,
    pub(crate) partitions: Partitions,
    pub(crate) fetch_sessions: Sessions,
    pub(crate) cold_reads: ColdReads,
    pub(crate) coordinators: Coordinators,
    pub(crate) transactions: TransactionCoordinators,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) stop: Stop,
    pub(crate) admission: Admission,
    pub(crate) log_limits: LogLimits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) moves: Moves,
}

/// Where clients reach a broker.
#[derive(Clone, Debug)]
pub(crate) struct ClientEndpoint {
    pub(crate) node_id: NodeId,
    pub(crate) host: Str,
    pub(crate) port: i32,
    pub(crate) rack: Option<Str>,
}

impl Broker {
    /// The brokers that serve clients, at their addresses for the listener that the client came through.
    pub(crate) fn client_endpoints(&self, listener: &str) -> Vec<ClientEndpoint> {
        let image = self.image.load();
        let active = image.brokers().iter().filter(|broker| broker.is_active());
        let reachable = active.filter_map(|broker| {
            let endpoint = broker.endpoint(listener)?;
            Some(ClientEndpoint {
                node_id: broker.id,
                host: endpoint.host.clone(),
                port: endpoint.port.into(),
                rack: broker.rack.clone(),
            })
        });
        reachable.collect()
    }

    /// Where a broker is reached through the listener that it names first.
    pub(crate) fn endpoint_of(&self, node_id: NodeId) -> Option<ClientEndpoint> {
        let image = self.image.load();
        let broker = image.brokers().broker(node_id)?;
        let endpoint = broker.endpoints.first()?;
        Some(ClientEndpoint {
            node_id,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
        })
    }

    /// The values of this broker by place: run time for it, run time for all, its file.
    pub(crate) fn layers<'a>(&'a self, image: &'a MetadataImage) -> Layers<'a> {
        Layers {
            broker: image.configs().of_broker(self.node_id),
            cluster: image.configs().of_all_brokers(),
            file: &self.config.file,
        }
    }

    /// How many connections may be open now, for an address that asks for one more.
    pub(crate) fn connection_limits(&self, ip: IpAddr) -> Limits {
        let image = self.image.load();
        let layers = self.layers(&image);
        let number = |key: &str| usize::try_from(layers.broker_number(key)).unwrap_or(0);
        let overrides = layers.broker_value("max.connections.per.ip.overrides");
        let overrides = overrides.as_ref().and_then(Value::as_text).unwrap_or_default();
        Limits {
            total: number("max.connections"),
            per_ip: limit_for(ip, overrides, number("max.connections.per.ip")),
        }
    }

    /// `max.connection.creation.rate` as it is now, in connections a second.
    pub(crate) fn connection_creation_rate(&self) -> u32 {
        let image = self.image.load();
        let rate = self.layers(&image).broker_number("max.connection.creation.rate");
        u32::try_from(rate).unwrap_or(u32::MAX)
    }

    /// The controller's view of the metadata that handlers see, for questions that change nothing.
    pub(crate) fn reading_controller(&self) -> Controller {
        Controller::new(
            self.image.load().as_ref().clone(),
            settings(&self.config, &self.cluster_id),
        )
    }

    /// What counts for a topic's partitions.
    pub(crate) fn topic_settings(&self, image: &MetadataImage, topic: &str) -> TopicSettings {
        TopicSettings::resolve(image.configs().of_topic(topic), self.layers(image))
    }

    /// A block of producer ids that nobody had before.
    ///
    /// # Errors
    /// The controller gave none.
    pub(crate) async fn allocate_producer_ids(&self) -> Result<Range<i64>, ErrorCode> {
        use ottla_protocol::messages::AllocateProducerIdsRequest;
        let request = AllocateProducerIdsRequest {
            broker_id: self.node_id.0,
            broker_epoch: self.broker_epoch.load(std::sync::atomic::Ordering::Acquire),
        };
        let decide = move |controller: &Controller, _: &mut Turn| {
            registration::transposed(controller.handle_allocate_producer_ids(&request))
        };
        let decided = self
            .controller
            .write(decide)
            .await
            .map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
        let block = decided.map_err(|error| {
            tracing::error!(%error, "the controller gave no producer ids");
            ErrorCode::CoordinatorNotAvailable
        })?;
        Ok(block.producer_id_start..block.producer_id_start + i64::from(block.producer_id_len))
    }
}

/// A broker that serves, and what is needed to stop it.
pub(crate) struct Running {
    broker: Arc<Broker>,
    addresses: Vec<SocketAddr>,
    http_address: Option<SocketAddr>,
    controller: thread::JoinHandle<()>,
    housekeeping: Housekeeping,
    cleaner: Option<LogCleaner>,
    mover: LogMover,
}

/// Starts a broker: takes the log directories, reads the metadata, forms the quorum, opens the logs, listens.
pub(crate) async fn start(config: BrokerConfig) -> anyhow::Result<Running> {
    let logs = LogStore::open(&config)?;
    let listeners = bind(&config)?;
    let http = bind_http(&config)?;
    let addresses = listeners
        .iter()
        .map(Listener::local_address)
        .collect::<Result<Vec<_>, _>>()?;
    let cluster_id = Str::from(logs.cluster_id());
    let metadata_settings = MetadataLogSettings::of(config.layers());
    let opened = MetadataLog::open(&logs, voter(&config, &logs), &metadata_settings, now_ms())?;
    let metadata_log = Arc::new(opened.log);
    let controller = Controller::new(opened.image, settings(&config, &cluster_id));
    let (queue, requests) = controller::queue();
    let (housekeeper, signals) = housekeeping::channel();
    let broker = Arc::new(Broker {
        node_id: config.node_id,
        cluster_id,
        broker_epoch: AtomicI64::new(-1),
        image: ArcSwap::from_pointee(controller.image().clone()),
        controller: queue,
        housekeeper,
        metadata_log: metadata_log.clone(),
        logs,
        partitions: Partitions::default(),
        fetch_sessions: Sessions::new(config.fetch_session_slots),
        cold_reads: ColdReads::new(),
        coordinators: Coordinators::new(&config, Arc::new(controller.image().clone())),
        transactions: TransactionCoordinators::new(&config),
        producer_ids: ProducerIds::default(),
        stop: Stop::default(),
        admission: Admission::default(),
        log_limits: LogLimits::default(),
        metrics: Arc::new(Metrics::new(table::TABLE.iter().map(|entry| entry.key), now_ms())),
        moves: Moves::default(),
        config,
    });
    let controller = controller::start(&broker, controller, metadata_log, requests)?;
    if let Some(options) = opened.bootstrap {
        broker.bootstrap(options).await?;
    }
    broker.register(&addresses).await?;
    broker.open_logs();
    broker.assign_directories().await?;
    tokio::spawn(directories::watch(broker.clone()));
    broker.coordinators.start(&broker);
    broker.transactions.start(&broker);
    let housekeeping = Housekeeping::start(&broker, signals)?;
    let cleaner = LogCleaner::start(&broker)?;
    let mover = LogMover::start(&broker)?;
    for listener in listeners {
        tokio::spawn(listener.serve(broker.clone()));
    }
    let http_address = http.as_ref().and_then(|http| http.local_addr().ok());
    if let Some(http) = http {
        tokio::spawn(http::serve(broker.clone(), http));
    }
    Ok(Running {
        broker,
        addresses,
        http_address,
        controller,
        housekeeping,
        cleaner,
        mover,
    })
}

fn settings(config: &BrokerConfig, cluster_id: &str) -> Settings {
    Settings {
        node_id: config.node_id.0,
        cluster_id: cluster_id.to_owned(),
        file: config.file.clone(),
        log_dirs: config.log_dir_names(),
    }
}

/// This node as a voter of the quorum.
fn voter(config: &BrokerConfig, logs: &LogStore) -> Voter {
    let endpoint = &config.controller_listener;
    Voter {
        id: config.node_id,
        directory_id: logs.metadata_directory_id(),
        endpoints: vec![VoterEndpoint {
            listener: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
        }],
    }
}

fn bind(config: &BrokerConfig) -> anyhow::Result<Vec<Listener>> {
    let mut bound = Vec::new();
    for Endpoint { name, host, port } in &config.listeners {
        let host = if host.is_empty() { "0.0.0.0" } else { host.as_str() };
        let cannot = || format!("cannot listen on {name}://{host}:{port}");
        let address = (host, *port)
            .to_socket_addrs()
            .with_context(cannot)?
            .next()
            .with_context(cannot)?;
        bound.push(Listener::bind(name, address, config.socket_buffers.receive_bytes).with_context(cannot)?);
    }
    Ok(bound)
}

/// Binds the address for HTTP. One that nobody asked for may be taken: several brokers of one machine have the same.
fn bind_http(config: &BrokerConfig) -> anyhow::Result<Option<TcpListener>> {
    let Some(HttpListener { host, port, is_default }) = &config.http_listener else {
        return Ok(None);
    };
    let cannot = || format!("cannot listen on http://{host}:{port} (http.listener)");
    let address = (host.as_str(), *port).to_socket_addrs();
    let bound = address.and_then(|mut addresses| {
        let address = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Listener::bind("http", address, None)
    });
    match bound {
        Ok(listener) => Ok(Some(listener.into_socket())),
        Err(error) if *is_default => {
            tracing::warn!(%error, "{}: there are no metrics; http.listener names another address", cannot());
            Ok(None)
        }
        Err(error) => Err(error).with_context(cannot),
    }
}

impl Running {
    /// What handlers share.
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Where metrics are served, if they are.
    pub(crate) fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// The addresses that clients can connect to.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops: no more requests, logs closed, so that the next start takes them as they are.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Self {
            broker,
            controller,
            housekeeping,
            cleaner,
            mover,
            ..
        } = self;
        broker.stop.request();
        // Before the groups: markers are written through them.
        broker.transactions.stop().await;
        broker.coordinators.stop().await;
        let closing = tokio::task::spawn_blocking(move || {
            mover.stop(&broker);
            cleaner.into_iter().for_each(LogCleaner::stop);
            housekeeping.stop(&broker);
            broker.controller.wake();
            // A panic there has been reported by its own hook.
            let _ = controller.join();
            broker.close_logs()
        });
        closing.await.context("closing the logs failed")?
    }
}
