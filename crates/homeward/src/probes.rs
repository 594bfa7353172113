//! Liveness, readiness and metrics over HTTP, for whoever probes and scrapes.
//!
//! - `/livez`: 200 as long as the process answers at all. A task that fails ends the process, so there is no more to it.
//! - `/readyz`: 200, or 503 while the process cannot do its work; JSON that names each check and what is wrong.
//! - `/metrics`: Prometheus' text format.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use homeward_chassis::error_chain;
use homeward_chassis::health::{Answer, Check, Health};
use homeward_chassis::metrics::Page;
use homeward_messaging::Broker;
use homeward_store::Database;

use crate::compose::Role;

/// The pages.
pub fn router(health: Health, metrics: Option<Page>) -> Router {
    let router = Router::new()
        .route("/livez", get(|| async { Json(serde_json::json!({ "alive": true })) }))
        .route("/readyz", get(move || std::future::ready(readiness(&health))));
    match metrics {
        None => router,
        Some(page) => router.route("/metrics", get(move || std::future::ready(render(&page)))),
    }
}

fn readiness(health: &Health) -> Response {
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

fn render(page: &Page) -> Response {
    match page.render() {
        Ok(text) => ([("content-type", Page::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What services rest on: their databases with all tables, and the broker.
pub fn checks(databases: Vec<(Role, Database)>, broker: Arc<dyn Broker>) -> Vec<Check> {
    let databases = Arc::new(databases);
    let of_databases = databases.clone();
    vec![
        Check::new("database", move || answers(of_databases.clone())),
        Check::new("migrations", move || migrated(databases.clone())),
        Check::new("broker", move || {
            let broker = broker.clone();
            async move { broker.check().await.map(|()| Vec::new()).map_err(|error| error_chain(&error)) }
        }),
    ]
}

async fn answers(databases: Arc<Vec<(Role, Database)>>) -> Answer {
    let mut warnings = Vec::new();
    for (role, db) in databases.iter() {
        let wrong = |error| format!("{role}: {}", error_chain(&error));
        db.ping().await.map_err(wrong)?;
        let found = db.durability_warnings().await.map_err(wrong)?;
        warnings.extend(found.into_iter().filter(|warning| !warnings.contains(warning)).collect::<Vec<_>>());
    }
    Ok(warnings)
}

async fn migrated(databases: Arc<Vec<(Role, Database)>>) -> Answer {
    for (role, db) in databases.iter() {
        let missing =
            db.missing_migrations(&role.migrations()).await.map_err(|error| format!("{role}: {}", error_chain(&error)))?;
        if !missing.is_empty() {
            return Err(missing_steps(*role, &missing));
        }
    }
    Ok(Vec::new())
}

/// Tables are behind; who brings them up to date.
pub fn missing_steps(role: Role, missing: &[String]) -> String {
    format!("{} step(s) are missing, the first is {}; run `homeward migrate {role}`", missing.len(), missing[0])
}
