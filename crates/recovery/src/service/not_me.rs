//! "This was not me": the link in every notice to an owner. Looking shows, pressing acts. The token is the credential.

use homeward_chassis::rpc::Refused;
use homeward_proto::recovery::v1::{LookUpRepudiationRequest, LookUpRepudiationResponse, RepudiateRequest, RepudiateResponse};
use homeward_proto::wire::timestamp;
use homeward_saga::Arrival;

use super::problem::{not_submitted, progress_of, unknown, unread};
use crate::case::{Case, store};
use crate::grant::token_hash;
use crate::parts::Shared;
use crate::repudiation::Standing;
use crate::saga::input::Input;

pub(super) async fn look_up(shared: &Shared, request: &LookUpRepudiationRequest) -> Result<LookUpRepudiationResponse, Refused> {
    let (case, standing) = find(shared, &request.token).await?;
    Ok(LookUpRepudiationResponse {
        organisation: case.organisation.to_string(),
        email: case.email.as_ref().map(homeward_types::Email::masked).unwrap_or_default(),
        requested_at: Some(timestamp(case.requested_at)),
        effect: standing.effect(contains(shared, &case)).to_owned(),
        expired: standing == Standing::TooLate,
    })
}

pub(super) async fn repudiate(shared: &Shared, request: &RepudiateRequest) -> Result<RepudiateResponse, Refused> {
    let (case, standing) = find(shared, &request.token).await?;
    let effect = standing.effect(contains(shared, &case)).to_owned();
    if standing == Standing::TooLate {
        return Err(Refused::precondition("NOT_ME_TOO_LATE", effect, "call your help desk"));
    }
    if standing.acts() {
        let arrival = Arrival::input(case.id.uuid(), Input::Repudiated);
        let mut handled = shared.coordinator.submit(vec![arrival]).await.map_err(|error| not_submitted(&error))?;
        progress_of(case.id, handled.pop().ok_or_else(|| unknown(case.id))?)?;
    }
    Ok(RepudiateResponse { effect })
}

async fn find(shared: &Shared, token: &str) -> Result<(Case, Standing), Refused> {
    let case = store::by_token(&shared.db, &token_hash(token)).await.map_err(|error| unread(&error))?;
    let case = case.ok_or_else(|| {
        Refused::not_found(
            "NOT_ME_UNKNOWN",
            "the link is not one of ours, or was cut off",
            "open the whole link from the mail, or call your help desk",
        )
    })?;
    let seen = shared.coordinator.read(&[case.id.uuid()]).await.map_err(|error| unread(&error))?;
    let seen = seen.get(&case.id.uuid()).ok_or_else(|| unknown(case.id))?;
    let limits = shared.organisations.get(&case.organisation).map(|organisation| organisation.limits.clone()).unwrap_or_default();
    let standing = Standing::of(&case, &seen.progress.data, &limits, shared.clock.now());
    Ok((case, standing))
}

fn contains(shared: &Shared, case: &Case) -> bool {
    shared.organisations.get(&case.organisation).is_none_or(|organisation| organisation.limits.contain_repudiated)
}
