//! "This was not me." Looking never acts: mail scanners follow links, and a GET must not lock anyone out.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use homeward_proto::recovery::v1::{LookUpRepudiationRequest, RepudiateRequest};

use crate::{Console, page};

#[derive(Template)]
#[template(path = "not_me.html")]
struct NotMePage {
    email: String,
    organisation: String,
    effect: String,
    expired: bool,
}

pub async fn show(State(console): State<Console>, Path(token): Path<String>) -> Response {
    match console.client().look_up_repudiation(LookUpRepudiationRequest { token }).await {
        Ok(response) => {
            let found = response.into_inner();
            page::render(&NotMePage {
                email: found.email,
                organisation: found.organisation,
                effect: found.effect,
                expired: found.expired,
            })
        }
        Err(status) => page::refused(&status),
    }
}

#[derive(Template)]
#[template(path = "not_me_done.html")]
struct DonePage {
    effect: String,
}

pub async fn act(State(console): State<Console>, Path(token): Path<String>) -> Response {
    match console.client().repudiate(RepudiateRequest { token }).await {
        Ok(response) => page::render(&DonePage { effect: response.into_inner().effect }),
        Err(status) => page::refused(&status),
    }
}
