//! The API access API's read of the organisation's own keys: how an expiry can be watched.

use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::keys::KeyRecord;
use crate::organisation::timestamp;
use crate::state::{Sim, lock};
use crate::well_known::ADMINISTRATOR;

use super::answer::{self, Answer};
use super::endpoint::Family;

/// `GET /admin/api-access/v1/orgs/{orgId}/api-keys`: the keys that are not revoked, on one page.
pub(super) async fn keys(State(sim): State<Sim>, Path(org): Path<String>) -> Answer {
    answer::know_organisation(Family::Access, &org)?;
    let keys: Vec<Value> = lock(&sim.keys).iter().filter(|record| !record.revoked).map(value).collect();
    Ok(answer::ok(&json!({ "data": keys, "links": { "self": "", "prev": null, "next": null } })))
}

fn value(record: &KeyRecord) -> Value {
    json!({
        "id": record.id, "label": record.key.label, "keyType": "CLOUD_ADMIN", "scopes": record.key.scopes,
        "createdAt": timestamp(record.made).to_rfc3339(), "expiresAt": timestamp(record.expires).to_rfc3339(),
        "createdBy": { "id": ADMINISTRATOR.id, "name": ADMINISTRATOR.name },
    })
}
