//! What every request passes before and after its handler: faults, key, scope, rate limit, delay; and the counters.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::config::UnlistedScope;
use crate::faults::{FaultKind, Seen};
use crate::limiter::Allowance;
use crate::organisation::moves::Twist;
use crate::organisation::timestamp;
use crate::server::Cut;
use crate::state::{Sim, lock};

use super::endpoint::{self, Endpoint, Scope, UNKNOWN};
use super::{LARGEST_REQUEST, answer};

/// What the gate tells the handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    /// How much further behind this read is.
    pub(super) stale: Option<Duration>,
    /// What a fault makes of this move.
    pub(super) twist: Twist,
}

/// The key of a request, as far as the gate needs it.
struct Caller {
    label: String,
    works: bool,
    allowed: bool,
}

/// Passes a request through.
pub(super) async fn gate(State(sim): State<Sim>, path: MatchedPath, request: Request, next: Next) -> Response {
    let Some(endpoint) = endpoint::find(request.method(), path.as_str()) else {
        sim.count(UNKNOWN, StatusCode::METHOD_NOT_ALLOWED.as_u16());
        return answer::gateway(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    };
    let mut counted = Counted { sim: &sim, call: endpoint.call, status: 0 };
    let mut response = pass(&sim, endpoint, request, next).await;
    // The provider's own clock, which need not be that of the machine.
    let date = timestamp(sim.now()).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    if response.extensions().get::<Cut>().is_none() {
        counted.status = response.status().as_u16();
    }
    response
}

/// Counts a call when it ends, also when its caller has gone away before the answer.
struct Counted<'a> {
    sim: &'a Sim,
    call: &'static str,
    status: u16,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.sim.count(self.call, self.status);
    }
}

async fn pass(sim: &Sim, endpoint: &'static Endpoint, request: Request, next: Next) -> Response {
    let caller = caller(sim, endpoint, &request);
    let (mut request, faults) = match meet(sim, request, caller.as_ref()).await {
        Ok(met) => met,
        Err(response) => return response,
    };
    for fault in &faults {
        if let FaultKind::Slow { by_ms } = fault {
            tokio::time::sleep(Duration::from_millis(*by_ms)).await;
        }
    }
    if let Some(response) = instead(sim, endpoint, &request, &faults) {
        // What happens meanwhile does not depend on what the call comes to.
        meanwhile(sim, &faults);
        return response;
    }
    let Some(caller) = caller.filter(|caller| caller.works) else { return endpoint.family.unauthorised() };
    let allowance = sim.limiter.take(&caller.label, endpoint.call, sim.now());
    if allowance.as_ref().is_some_and(|allowance| allowance.exceeded) {
        return with_allowance(sim, endpoint.family.too_many(), allowance.as_ref());
    }
    if !caller.allowed {
        return with_allowance(sim, endpoint.family.forbidden(), allowance.as_ref());
    }
    let delay = sim.answer_delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    meanwhile(sim, &faults);
    request.extensions_mut().insert(bend(&faults));
    let response = with_allowance(sim, next.run(request).await, allowance.as_ref());
    after(response, &faults).await
}

fn caller(sim: &Sim, endpoint: &Endpoint, request: &Request) -> Option<Caller> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let secret = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "))?;
    let now = sim.now();
    let keys = lock(&sim.keys);
    let record = keys.iter().find(|record| record.key.value == secret)?;
    let scoped = record.key.scopes.is_some();
    let unlisted = || sim.organisation().settings.quirks.unlisted_scope == UnlistedScope::Allowed;
    let allowed = match endpoint.scope {
        Scope::Listed(scope) => record.has(scope),
        Scope::Unlisted => !scoped || unlisted(),
        Scope::Unscoped => !scoped,
    };
    Some(Caller { label: record.key.label.clone(), works: record.works(now), allowed })
}

/// Which faults meet the request. Costs nothing while there are none.
async fn meet(sim: &Sim, request: Request, caller: Option<&Caller>) -> Result<(Request, Vec<FaultKind>), Response> {
    if !sim.faults.any() {
        return Ok((request, Vec::new()));
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_REQUEST).await.map_err(|_| answer::empty(StatusCode::PAYLOAD_TOO_LARGE))?;
    let line = format!("{} {}", parts.method, parts.uri.path());
    let text = String::from_utf8_lossy(&body);
    let key = caller.map(|caller| caller.label.as_str());
    let seen = Seen { line: &line, body: &text, key, now: sim.now() };
    let met = sim.faults.meet(&seen, |account| names(sim, &seen, account));
    drop(text);
    Ok((Request::from_parts(parts, Body::from(body)), met))
}

/// Whether a request names an account, by its id (also percent-encoded) or its present address.
fn names(sim: &Sim, seen: &Seen<'_>, account: &str) -> bool {
    let organisation = sim.organisation();
    let slot = organisation.find(account).or_else(|| organisation.find_email(account));
    let Some(slot) = slot else { return seen.body.contains(account) };
    let account = &organisation.accounts[slot];
    let encoded = account.id.replace(':', "%3A").replace('|', "%7C");
    let lower = seen.line.replace("%3a", "%3A").replace("%7c", "%7C");
    let quoted = |text: &str| seen.body.contains(&format!("\"{text}\""));
    lower.contains(&*account.id) || lower.contains(&encoded) || quoted(&account.id) || quoted(account.email.now())
}

/// The answer of a fault that comes instead of the handler's.
fn instead(sim: &Sim, endpoint: &Endpoint, request: &Request, faults: &[FaultKind]) -> Option<Response> {
    let code = |status: u16| StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    faults.iter().find_map(|fault| match fault {
        FaultKind::TooManyRequests => Some(endpoint.family.too_many()),
        FaultKind::ServerError { status } => Some(endpoint.family.failure(code(*status))),
        FaultKind::CutBefore | FaultKind::Outage => Some(cut()),
        FaultKind::WrongShape { status } => {
            let at = timestamp(sim.now()).to_rfc3339();
            Some(answer::servlet(code(*status), request.uri().path(), &at))
        }
        FaultKind::EmptyBody { status } => Some(answer::empty(code(*status))),
        FaultKind::Html { status } => Some(page(code(*status))),
        FaultKind::RevokedKey => Some(endpoint.family.unauthorised()),
        FaultKind::Slow { .. }
        | FaultKind::CutAfter
        | FaultKind::AppliedTimedOut { .. }
        | FaultKind::NeverApplied { .. }
        | FaultKind::AppliedLate { .. }
        | FaultKind::PartialBatch { .. }
        | FaultKind::StaleRead { .. }
        | FaultKind::Meanwhile { .. }
        | FaultKind::TruncatedJson => None,
    })
}

/// What happens behind the caller's back between its last read and this call.
fn meanwhile(sim: &Sim, faults: &[FaultKind]) {
    for fault in faults {
        if let FaultKind::Meanwhile { account, drift } = fault
            && let Err(error) = sim.organisation().drift(account, drift.clone())
        {
            tracing::error!(%error, "a fault asked for a change that cannot be made");
        }
    }
}

/// What faults change about what the handler does.
fn bend(faults: &[FaultKind]) -> Call {
    let mut call = Call::default();
    for fault in faults {
        match fault {
            FaultKind::StaleRead { by_ms } => call.stale = Some(Duration::from_millis(*by_ms)),
            FaultKind::NeverApplied { says } => call.twist = Twist::Never(*says),
            FaultKind::AppliedLate { by_ms, says } => call.twist = Twist::Late(Duration::from_millis(*by_ms), *says),
            FaultKind::PartialBatch { only } => call.twist = Twist::Partial(only.clone()),
            FaultKind::TooManyRequests
            | FaultKind::ServerError { .. }
            | FaultKind::Slow { .. }
            | FaultKind::CutBefore
            | FaultKind::CutAfter
            | FaultKind::AppliedTimedOut { .. }
            | FaultKind::WrongShape { .. }
            | FaultKind::EmptyBody { .. }
            | FaultKind::Html { .. }
            | FaultKind::TruncatedJson
            | FaultKind::RevokedKey
            | FaultKind::Meanwhile { .. }
            | FaultKind::Outage => {}
        }
    }
    call
}

/// What faults do to an answer whose work is done.
async fn after(response: Response, faults: &[FaultKind]) -> Response {
    if faults.contains(&FaultKind::CutAfter) {
        return cut();
    }
    for fault in faults {
        if let FaultKind::AppliedTimedOut { after_ms } = fault {
            tokio::time::sleep(Duration::from_millis(*after_ms)).await;
            return cut();
        }
    }
    if faults.contains(&FaultKind::TruncatedJson) {
        let (mut parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::from(bytes.slice(..bytes.len() / 2)));
    }
    response
}

fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}

fn page(status: StatusCode) -> Response {
    let html = "<!DOCTYPE html><html><head><title>Atlassian</title></head><body><h1>We'll be right back</h1></body></html>";
    let mut response = Response::new(Body::from(Bytes::from_static(html.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn with_allowance(sim: &Sim, mut response: Response, allowance: Option<&Allowance>) -> Response {
    let Some(allowance) = allowance else { return response };
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", allowance.limit.into());
    headers.insert("x-ratelimit-remaining", allowance.remaining.into());
    if let Ok(reset) = HeaderValue::from_str(&allowance.reset) {
        headers.insert("x-ratelimit-reset", reset);
    }
    if allowance.exceeded && sim.organisation().settings.quirks.retry_after {
        headers.insert(header::RETRY_AFTER, allowance.wait_seconds.into());
    }
    response
}
