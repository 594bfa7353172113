//! Recovery's key, and grants signed with it.

use homeward_policy::lend::grant::GrantKeys;
use homeward_proto::policy::v1;
use homeward_simulator::AccountTruth;
use homeward_types::limits::after;
use homeward_types::{Clock, Factor, Grant, LeaseId, Organisation, SystemClock, Tier};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

pub struct Recovery {
    pair: Ed25519KeyPair,
    kid: String,
}

impl Recovery {
    pub fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let kid = GrantKeys::new().add(pair.public_key().as_ref());
        Self { pair, kid }
    }

    pub fn public_key(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    pub fn grant(organisation: &Organisation, account: &AccountTruth) -> Grant {
        let factor = if account.factor { Factor::Enrolled } else { Factor::Absent };
        Grant {
            lease: LeaseId::new(&SystemClock),
            organisation: organisation.id.clone(),
            account: account.id.parse().unwrap(),
            email: account.email.parse().unwrap(),
            home: account.policy.as_ref().unwrap().parse().unwrap(),
            tier: Tier::Normal,
            factor,
            recent_requests: 0,
            repudiated_before: false,
            requester: "rita".parse().unwrap(),
            approvers: vec!["anna".parse().unwrap()],
            diagnosis_hash: "00".into(),
            not_after: after(SystemClock.now(), organisation.limits.grant_valid),
            lease_micros: i64::try_from(organisation.limits.lease.as_micros()).unwrap(),
        }
    }

    pub fn sign(&self, grant: &Grant) -> v1::LendAccount {
        let grant = serde_json::to_vec(grant).unwrap();
        let signature = self.pair.sign(&grant).as_ref().to_vec();
        v1::LendAccount { grant, signature, kid: self.kid.clone() }
    }
}
