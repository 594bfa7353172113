//! Answers and errors in the shapes of each API. Codes and shapes are documented; the wording of titles is ours.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::well_known::ORGANISATION;

use super::endpoint::Family;

/// The answer that ends a request early. Boxed, as answers are large.
pub(super) struct Refusal(Box<Response>);

/// What a handler comes to.
pub(super) type Answer = Result<Response, Refusal>;

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// A JSON answer.
pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// A JSON answer with status 200.
pub(super) fn ok(body: &impl Serialize) -> Response {
    json_response(StatusCode::OK, body)
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    status.into_response()
}

/// The gateway's own shape (`ProxyError`).
pub(super) fn gateway(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({ "code": status.as_u16(), "message": message }))
}

/// The shape of the Organizations and Control APIs: a list of errors whose status is a text.
pub(super) fn errors(status: StatusCode, code: &str, title: &str, detail: &str) -> Response {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let id = format!("{:032x}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let error = json!({ "id": id, "status": status.as_u16().to_string(), "code": code, "title": title, "detail": detail });
    json_response(status, &json!({ "errors": [error] }))
}

/// The shape of the User management API.
pub(super) fn keyed(status: StatusCode, key: &str, context: &Value) -> Response {
    json_response(status, &json!({ "key": key, "context": context }))
}

/// The third shape that was seen live for a 403 on an organisation's path.
pub(super) fn servlet(status: StatusCode, path: &str, at: &str) -> Response {
    let error = status.canonical_reason().unwrap_or("Error");
    let body = json!({
        "timestamp": at, "path": path, "status": status.as_u16(), "error": error,
        "message": "User has no permission to access resource.", "requestId": "5f2b7c1d-1",
    });
    json_response(status, &body)
}

impl Family {
    /// 401: the key is missing, unknown, expired or revoked.
    pub(super) fn unauthorised(self) -> Response {
        match self {
            Self::Control => empty(StatusCode::UNAUTHORIZED),
            Self::Organisations | Self::Access | Self::Users => gateway(StatusCode::UNAUTHORIZED, "Unauthorized"),
        }
    }

    /// 429: too many requests.
    pub(super) fn too_many(self) -> Response {
        match self {
            Self::Control => empty(StatusCode::TOO_MANY_REQUESTS),
            Self::Organisations | Self::Access | Self::Users => gateway(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded"),
        }
    }

    /// 403: the key has not the scope.
    pub(super) fn forbidden(self) -> Response {
        let status = StatusCode::FORBIDDEN;
        match self {
            Self::Control => gateway(status, "The API key doesn't have the required scope."),
            Self::Organisations | Self::Access => {
                errors(status, "ADMIN-403-3", "Forbidden", "You aren't allowed to manage this organization.")
            }
            Self::Users => keyed(status, "forbidden.insufficientScope", &json!({ "requiredScopes": ["manage:org"] })),
        }
    }

    /// A 5xx.
    pub(super) fn failure(self, status: StatusCode) -> Response {
        match self {
            Self::Control | Self::Organisations | Self::Access => {
                errors(status, "ADMIN-500-1", "Internal server error", "Something went wrong. Try again later.")
            }
            Self::Users => keyed(status, "internalServerError", &json!({})),
        }
    }

    /// 400: a request that makes no sense.
    pub(super) fn bad_request(self, code: &str, detail: &str) -> Response {
        let status = StatusCode::BAD_REQUEST;
        match self {
            Self::Control | Self::Organisations | Self::Access => errors(status, code, "Bad request", detail),
            Self::Users => keyed(status, "bodyParseFailure", &json!({ "message": detail })),
        }
    }

    /// 404: no such thing.
    pub(super) fn not_found(self, code: &str, what: &str) -> Response {
        let status = StatusCode::NOT_FOUND;
        match self {
            Self::Control => gateway(status, what),
            Self::Organisations | Self::Access => errors(status, code, "Not found", what),
            Self::Users => keyed(status, "notFound", &json!({})),
        }
    }
}

/// 404 of an organisation that the key does not manage.
pub(super) fn know_organisation(family: Family, org: &str) -> Result<(), Refusal> {
    if org == ORGANISATION {
        return Ok(());
    }
    Err(family.not_found("ADMIN-404-2", "The organization doesn't exist.").into())
}
