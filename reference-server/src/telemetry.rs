//! Logs and metrics.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::panics;
use crate::start::StartError;

/// Starts logging to standard error, panics too. A second call changes nothing.
pub fn init_logs(log: &Log) {
    panics::observe();
    let filter = EnvFilter::new(&log.filter);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // An error means that logging is on already.
    let _ = match log.format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
        LogFormat::Pretty => builder.with_target(false).try_init(),
    };
}

const LATENCY_BUCKETS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Starts recording metrics; the handle shows them.
///
/// # Errors
///
/// [`StartError::Metrics`] when a recorder is installed already.
pub fn init_metrics() -> Result<PrometheusHandle, StartError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), LATENCY_BUCKETS)
        .map_err(|error| StartError::Metrics(error.into()))?
        .install_recorder()
        .map_err(|error| StartError::Metrics(error.into()))
}
