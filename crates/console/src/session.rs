//! Who looks: the person's own bearer token, kept in a cookie that scripts cannot read and other sites cannot send.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use homeward_chassis::auth::Bearer;
use serde::Deserialize;

use crate::{Console, page};

const COOKIE: &str = "homeward_token";

/// A request to recovery in the name of whom the cookie belongs to; none means that nobody is signed in.
pub fn request_of<T>(headers: &HeaderMap, message: T) -> Option<tonic::Request<T>> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let token = cookies.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then_some(value)
    })?;
    let bearer = Bearer::new(token).ok()?;
    let mut request = tonic::Request::new(message);
    bearer.attach(&mut request);
    Some(request)
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    problem: &'a str,
}

pub async fn form() -> Response {
    page::render(&SignInPage { problem: "" })
}

#[derive(Deserialize)]
pub struct SignIn {
    token: String,
}

pub async fn sign_in(State(console): State<Console>, Form(form): Form<SignIn>) -> Response {
    let Ok(bearer) = Bearer::new(form.token.trim()) else {
        return page::render(&SignInPage { problem: "That is not a token. It is what `homeward token` printed." });
    };
    let secure = if console.secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200{secure}", bearer.reveal());
    let mut response = Redirect::to("/").into_response();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

pub async fn sign_out() -> Response {
    let mut response = Redirect::to("/sign-in").into_response();
    response
        .headers_mut()
        .insert(header::SET_COOKIE, HeaderValue::from_static("homeward_token=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"));
    response
}
