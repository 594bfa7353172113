//! The rows of one transaction, collected from the changes of its sagas before anything is written.

use homeward_saga::{Event, Progress};
use homeward_store::audit;
use homeward_types::{RecoveryId, Timestamp};
use uuid::Uuid;

use super::{Change, RecoveryDomain};
use crate::case::Opening;
use crate::case::store::write::{Closing, Text};
use crate::containment::Containment;
use crate::incident::Incident;
use crate::saga::command::{Command, Notice};
use crate::saga::data::{Data, Delivery};
use crate::saga::input::Input;
use crate::saga::outcome::{Outcome, Reader};
use crate::slot::store::Wishes;
use crate::timeline;

/// Everything but the messages.
pub(super) struct Rows<'a> {
    pub(super) cases: Vec<(Uuid, &'a Data, &'a Opening)>,
    pub(super) closings: Vec<Closing>,
    pub(super) repudiated: Vec<Uuid>,
    pub(super) texts: Vec<Text>,
    pub(super) timeline: Vec<timeline::store::New>,
    pub(super) audit: Vec<audit::Entry>,
    pub(super) incidents: Vec<Incident>,
    pub(super) containments: Vec<Containment>,
    pub(super) wishes: Wishes,
}

impl<'a> Rows<'a> {
    pub(super) fn of(domain: &RecoveryDomain, applied: &'a [Change], now: Timestamp) -> Self {
        let mut rows = Self {
            cases: Vec::new(),
            closings: Vec::new(),
            repudiated: Vec::new(),
            texts: Vec::new(),
            timeline: Vec::with_capacity(applied.len() * 2),
            audit: Vec::new(),
            incidents: Vec::new(),
            containments: Vec::new(),
            wishes: Wishes::default(),
        };
        for change in applied {
            rows.add(domain, change, now);
        }
        rows
    }

    fn add(&mut self, domain: &RecoveryDomain, change: &'a Change, now: Timestamp) {
        let data = &change.progress.data;
        if let (Event::Start, Some(opening)) = (&change.event, &data.opening) {
            self.cases.push((change.id, data, opening));
        }
        if change.from.is_some() && change.progress.is_closed() {
            self.closings.push(closing(change.id, &change.progress, now));
        }
        if let Event::Input(input) = &change.event {
            self.texts.extend(said(change.id, input, now));
            self.react(domain, change, input);
        }
        for command in &change.commands {
            match command {
                Command::TakeSlot => self.wishes.asked.push((change.id, data.organisation.clone())),
                Command::GiveSlotBack => self.wishes.given.push((change.id, data.organisation.clone())),
                Command::AskApprovers
                | Command::WithdrawVotes
                | Command::Lend
                | Command::Watch
                | Command::Unwatch
                | Command::ResetFactor
                | Command::Return(_)
                | Command::CleanWindow
                | Command::Tell(..) => {}
            }
        }
        let entries = timeline::entries(change).into_iter();
        self.timeline.extend(entries.map(|entry| timeline::store::New { recovery: change.id, at: now, entry }));
        self.audit.extend(super::audit::entries(change, domain.key.kid(), now));
    }

    /// What follows from a fact besides the saga's own steps, also when it comes after the end.
    fn react(&mut self, domain: &RecoveryDomain, change: &'a Change, input: &Input) {
        let (id, data) = (RecoveryId::from_uuid(change.id), &change.progress.data);
        let contains = domain.contains(&data.organisation);
        match input {
            Input::Repudiated => {
                self.repudiated.push(change.id);
                self.incidents.push(Incident::repudiated(domain.incident_id(), id, data, contains));
            }
            Input::Noticed {
                notice: notice @ (Notice::Invitation | Notice::ResetNeeded | Notice::Closed),
                to,
                delivery: Delivery::Failed,
            } => {
                let problem = "every try failed";
                self.incidents.push(Incident::notice_failed(domain.incident_id(), id, data, *notice, to, problem));
            }
            Input::Noticed { .. }
            | Input::ProofAttached { .. }
            | Input::Voted { .. }
            | Input::Cancelled { .. }
            | Input::ReturnNow { .. }
            | Input::ResetConfirmed { .. }
            | Input::SlotTaken
            | Input::Lease(_)
            | Input::FactorReset(_)
            | Input::FactorAbsent { .. }
            | Input::Enrolled { .. }
            | Input::WindowCleaned { .. } => {}
        }
        // Nothing is disabled for a request alone, or anyone could lock anyone out by asking. A lease that opened counts,
        // also when its news comes after the owner's word.
        if contains && data.repudiated_at.is_some() && data.was_opened() && matches!(input, Input::Repudiated | Input::Lease(_)) {
            let (organisation, account) = (data.organisation.clone(), data.account.clone());
            self.containments.push(Containment { recovery: id, organisation, account });
        }
    }
}

fn closing(id: Uuid, progress: &Progress<Data>, now: Timestamp) -> Closing {
    let outcome = Outcome::of(&progress.data);
    Closing { id, at: now, outcome: outcome.code(), sentence: outcome.sentence(Reader::Staff) }
}

/// What a person said with an input, for the erasable table.
fn said(id: Uuid, input: &Input, now: Timestamp) -> Option<Text> {
    let (subject, text) = match input {
        Input::ProofAttached { kind, evidence, .. } => (format!("proof.{}", super::audit::kind_name(*kind)), evidence),
        Input::Voted { by, reason, .. } => (format!("vote.{by}"), reason),
        Input::Cancelled { reason, .. } => ("cancel".to_owned(), reason),
        Input::ReturnNow { reason, .. } => ("return".to_owned(), reason),
        Input::ResetConfirmed { .. }
        | Input::Repudiated
        | Input::SlotTaken
        | Input::Lease(_)
        | Input::FactorReset(_)
        | Input::FactorAbsent { .. }
        | Input::Enrolled { .. }
        | Input::WindowCleaned { .. }
        | Input::Noticed { .. } => return None,
    };
    (!text.is_empty()).then(|| Text { recovery: id, subject, text: text.clone(), said_at: now })
}
