//! An Atlassian-shaped organisation over HTTP, as awkward as the documentation says the real one is.
//!
//! Two ports. The **provider port** answers the documented admin APIs and nothing else, and (under `/fake/`) the pages
//! that people see: the admin console's page of an account with its reset button, and the sign-in. The **control port**
//! has a token of its own: the ground truth, a log of every effect, faults, and changes behind the product's back.
//! Where the documentation is silent, [`config::Quirks`] says how the simulator settles it.
//!
//! | people, on the provider port | |
//! | --- | --- |
//! | `GET /fake/admin/users/{id}`, `POST …/reset`, `POST …/reset.json` | the admin console's page and its button |
//! | `GET`, `POST /fake/sign-in`, `POST /fake/enrol` | the sign-in pages |
//! | `POST /fake/sign-in.json`, `/fake/enrol.json` | one [`SignInRequest`] or [`EnrolRequest`], or a list of them |
//! | `POST /fake/admin/reset.json` | a [`ResetRequest`]: many accounts |
//!
//! | control port, with `Authorization: Bearer <token>` | |
//! | --- | --- |
//! | `GET /info` | [`Info`] |
//! | `GET /truth?accounts=a,b` or `?cursor=&limit=`, `POST /truth` with ids | [`TruthPage`] |
//! | `GET /truth/summary?exclude=a,b`, `POST /truth/summary` with ids | [`Summary`]: the others in one number |
//! | `GET /truth/log?since=&limit=&account=` | [`Effect`]s |
//! | `GET /calls` | [`CallCount`]s |
//! | `GET /faults`, `POST /faults` with a [`Fault`] or a list, `DELETE /faults[/{number}]` | [`FaultState`]s |
//! | `POST /faults/chaos`, `POST /faults/storm` | sets what [`Chaos`] or a [`Storm`] asks for |
//! | `POST /accounts/{id}/{change}` | a [`Drift`]: `rename`, `email`, `swap-email`, `suspend`, `restore`, `deactivate`, `reactivate`, `delete`, `unclaim`, `claim`, `move`, `factor`, `token`, `administrator` |
//! | `GET /policies`, `POST /policies/{id}/delete`, `POST /policies/{id}/demand` | [`PolicyRecord`]s |
//! | `POST /keys/{label}/revoke` | |
//! | `GET`, `PUT /settings`; `PUT /rate-limits` | [`Settings`]; [`config::RateLimit`]s |
//!
//! Everything is in memory. Time comes from a [`homeward_types::Clock`], chance from one seed.
//!
//! ```no_run
//! use homeward_simulator::{Simulator, SimulatorConfig, well_known};
//!
//! # async fn example() -> Result<(), homeward_simulator::StartError> {
//! let simulator = Simulator::start(SimulatorConfig::default()).await?;
//! let sam = simulator.truth().by_email(well_known::STORY.email);
//! println!("{} is in {:?}", well_known::STORY.name, sam.and_then(|account| account.policy_name));
//! # Ok(())
//! # }
//! ```

mod account;
pub mod config;
mod control;
pub mod effect;
pub mod faults;
mod handle;
mod http;
mod keys;
mod limiter;
mod organisation;
mod people;
mod policy;
mod running;
mod seed;
mod server;
mod state;
mod timeline;
mod truth;
pub mod well_known;

pub use account::{Claim, Membership, Source, Status, Token};
pub use config::{Lateness, SHORT_PROFILE, SimulatorConfig};
pub use control::{Chaos, Info};
pub use effect::{Cause, Effect, Fact};
pub use faults::{Fault, FaultKind, FaultState, Storm};
pub use handle::Truth;
pub use http::{ENDPOINTS, Endpoint, Family, Scope, UNKNOWN};
pub use keys::ApiKey;
pub use organisation::Settings;
pub use organisation::drift::{Drift, DriftError};
pub use organisation::moves::Says;
pub use organisation::people::{Enrolment, Reset, SignIn};
pub use people::{EnrolAnswer, EnrolRequest, ResetAnswer, ResetRequest, SignInAnswer, SignInRequest};
pub use policy::{Demand, PolicyRecord};
pub use running::{Running, Simulator, StartError};
pub use seed::csv::CsvError;
pub use state::CallCount;
pub use truth::{AccountTruth, Summary, TruthPage};
