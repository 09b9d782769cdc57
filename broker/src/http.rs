//! The HTTP endpoint: metrics for Prometheus, health, and the lag of groups as JSON. It reads; nothing can be changed
//! through it.
//!
//! `http.listener` says where; without it that is a port of the loopback interface. A connection gets one answer within
//! [`bounded::LIFETIME`] and is closed; [`bounded::CONNECTIONS_MAX`] are served at once, the others wait in the system's
//! queue. One request at a time collects figures of everything.

mod bounded;

use crate::{
    broker::Broker,
    lag::{self, GroupReport, GroupSummary},
    metrics::scrape,
};
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, Response, StatusCode, header},
    middleware,
    routing::get,
};
use ottla_protocol::Str;
use prometheus::TextEncoder;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Mutex, time::timeout};

pub(crate) use bounded::Bounded;

/// So long a request may take to be answered. Shorter than the life of its connection, so that it is told.
const PATIENCE: Duration = Duration::from_secs(8);

/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

struct Http {
    broker: Arc<Broker>,
    /// Held by the request that collects figures of everything.
    collecting: Mutex<()>,
}

type Answer = Response<Body>;

/// What `/v1/groups` says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GroupsAnswer {
    pub(crate) cluster_id: String,
    pub(crate) node_id: i32,
    pub(crate) groups: Vec<GroupSummary>,
    /// Committed offsets that are not in the sums: there are too many.
    pub(crate) offsets_left_out: usize,
    /// Coordinators whose groups are missing: they are being loaded.
    pub(crate) coordinators_loading: usize,
}

/// What `/v1/groups/{group}` says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GroupAnswer {
    pub(crate) cluster_id: String,
    pub(crate) node_id: i32,
    #[serde(flatten)]
    pub(crate) group: GroupReport,
}

/// Why there is no other answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorAnswer {
    pub(crate) error: String,
}

/// Serves until the broker stops.
pub(crate) async fn serve(broker: Arc<Broker>, listener: TcpListener) {
    let http = Arc::new(Http {
        broker: broker.clone(),
        collecting: Mutex::default(),
    });
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/v1/groups", get(groups))
        .route("/v1/groups/{group}", get(group))
        .fallback(nothing)
        .layer(middleware::map_response(close_after))
        .with_state(http);
    let served = axum::serve(Bounded::new(listener), router);
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::warn!(%error, "the HTTP endpoint has ended");
        },
        () = broker.stop.requested() => {}
    }
}

/// One answer a connection: nobody holds one without asking.
async fn close_after(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

async fn metrics(State(http): State<Arc<Http>>) -> Answer {
    let collected = async {
        let _turn = http.collecting.lock().await;
        let families = scrape::collect(&http.broker).await?;
        TextEncoder::new().encode_to_string(&families).ok()
    };
    match timeout(PATIENCE, collected).await {
        Ok(Some(text)) => answer(StatusCode::OK, METRICS, text),
        _ => too_busy(),
    }
}

async fn live() -> Answer {
    answer(StatusCode::OK, TEXT, "live\n".to_owned())
}

/// This answers as soon as the broker serves: before that nobody listens here.
async fn ready(State(http): State<Arc<Http>>) -> Answer {
    match http.broker.stop.is_requested() {
        true => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n".to_owned()),
        false => answer(StatusCode::OK, TEXT, "ready\n".to_owned()),
    }
}

async fn groups(State(http): State<Arc<Http>>) -> Answer {
    let collected = async {
        let _turn = http.collecting.lock().await;
        lag::all_groups(&http.broker, scrape::OFFSETS_MAX).await
    };
    let Ok(Some(all)) = timeout(PATIENCE, collected).await else {
        return too_busy();
    };
    json(
        StatusCode::OK,
        &GroupsAnswer {
            cluster_id: http.broker.cluster_id.to_string(),
            node_id: http.broker.node_id.0,
            groups: all.groups.into_iter().map(|group| group.summary).collect(),
            offsets_left_out: all.left_out,
            coordinators_loading: all.unavailable,
        },
    )
}

async fn group(State(http): State<Arc<Http>>, Path(id): Path<String>) -> Answer {
    let collected = async {
        let _turn = http.collecting.lock().await;
        lag::one_group(&http.broker, &Str::from(id.as_str())).await
    };
    let error = |status, error: String| json(status, &ErrorAnswer { error });
    match timeout(PATIENCE, collected).await {
        Err(_) => too_busy(),
        Ok(Ok(Some(group))) => json(
            StatusCode::OK,
            &GroupAnswer {
                cluster_id: http.broker.cluster_id.to_string(),
                node_id: http.broker.node_id.0,
                group,
            },
        ),
        Ok(Ok(None)) => error(StatusCode::NOT_FOUND, format!("there is no group {id}")),
        // There is no topic for groups yet, so there are no groups, or another broker has this one.
        Ok(Err(ottla_protocol::ErrorCode::NotCoordinator)) => {
            error(StatusCode::NOT_FOUND, format!("group {id} is not coordinated here"))
        }
        Ok(Err(code)) => error(StatusCode::SERVICE_UNAVAILABLE, code.name().to_owned()),
    }
}

async fn nothing() -> Answer {
    let error = "there is /metrics, /health/live, /health/ready, /v1/groups and /v1/groups/{group}".to_owned();
    json(StatusCode::NOT_FOUND, &ErrorAnswer { error })
}

fn too_busy() -> Answer {
    let error = "the figures could not be collected in time".to_owned();
    json(StatusCode::SERVICE_UNAVAILABLE, &ErrorAnswer { error })
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let text = serde_json::to_string(value).expect("texts and numbers can be written");
    answer(status, JSON, text)
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
