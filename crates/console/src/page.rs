//! What all pages share: the answer for a template, the answer for a refusal, style and script.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use homeward_chassis::rpc::Refused;
use tonic::Code;

/// Renders a template; one that cannot be rendered is a fault of ours and says so.
pub fn render(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "Homeward could not make this page.").into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    message: &'a str,
    remedy: &'a str,
}

/// A page that says what was refused and what to do; the sign-in page when the caller is not known.
pub fn refused(status: &tonic::Status) -> Response {
    let refused = Refused::from_status(status);
    let http = match refused.code {
        Code::Unauthenticated => return Redirect::to("/sign-in").into_response(),
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::AlreadyExists => StatusCode::BAD_REQUEST,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Aborted | Code::Cancelled => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut page = render(&RefusedPage { message: &refused.message, remedy: &refused.remedy });
    *page.status_mut() = http;
    page
}

pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../static/console.css"))
}

pub async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../static/console.js"))
}
