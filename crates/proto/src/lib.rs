//! The wire contract as generated types, and the conversions of the words that every service shares.
//!
//! Services meet only here. A service's own conversions live in its `wire.rs`.

pub mod wire;

/// Words that every service uses.
pub mod words {
    #[expect(missing_docs, clippy::pedantic, reason = "generated from proto/, where the documentation is")]
    pub mod v1 {
        tonic::include_proto!("homeward.words.v1");
    }
}

/// The account replica and evidence of enrolment.
pub mod directory {
    #[expect(missing_docs, clippy::pedantic, reason = "generated from proto/, where the documentation is")]
    pub mod v1 {
        tonic::include_proto!("homeward.directory.v1");
    }
}

/// Leases and moves.
pub mod policy {
    #[expect(missing_docs, clippy::pedantic, reason = "generated from proto/, where the documentation is")]
    pub mod v1 {
        tonic::include_proto!("homeward.policy.v1");
    }
}

/// Cases.
pub mod recovery {
    #[expect(missing_docs, clippy::pedantic, reason = "generated from proto/, where the documentation is")]
    pub mod v1 {
        tonic::include_proto!("homeward.recovery.v1");
    }
}

/// Notices.
pub mod notification {
    #[expect(missing_docs, clippy::pedantic, reason = "generated from proto/, where the documentation is")]
    pub mod v1 {
        tonic::include_proto!("homeward.notification.v1");
    }
}

/// The recurring read-back.
pub mod patrol {
    #[expect(missing_docs, clippy::pedantic, reason = "generated from proto/, where the documentation is")]
    pub mod v1 {
        tonic::include_proto!("homeward.patrol.v1");
    }
}

/// Everything in one descriptor set, for gRPC reflection.
pub const FDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/homeward.fds"));
