//! Exit codes, and the failures behind them.

use std::process::ExitCode;

use homeward_chassis::rpc::Refused;
use tonic::{Code, Status};

/// Refused: the message says why and what to do.
pub const REFUSED: u8 = 3;
/// Something does not answer.
pub const UNREACHABLE: u8 = 4;
/// No such thing.
const NOT_FOUND: u8 = 5;
/// Not known, or not allowed.
const NOT_ALLOWED: u8 = 6;
/// The demo's story ended, but not everything could be verified.
#[cfg(feature = "demo")]
pub const NOT_VERIFIED: u8 = 7;
/// The configuration is wrong (`EX_USAGE` of sysexits.h, as other daemons use it).
const CONFIGURATION: u8 = 64;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Homeward refused, or could not be reached.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// The configuration is wrong.
    #[error("{0}")]
    Configuration(String),
    /// Something of our own went wrong.
    #[error("{0:#}")]
    Fault(anyhow::Error),
}

impl Failure {
    /// The exit code that stands for it.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(refused) => match refused.code {
                Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::ResourceExhausted | Code::Cancelled => {
                    UNREACHABLE
                }
                Code::NotFound => NOT_FOUND,
                Code::Unauthenticated | Code::PermissionDenied => NOT_ALLOWED,
                Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::OutOfRange => REFUSED,
                Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => 1,
            },
            Self::Configuration(_) => CONFIGURATION,
            Self::Fault(_) => 1,
        })
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(Refused::from_status(&status)))
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Fault(error)
    }
}
