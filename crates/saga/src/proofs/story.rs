//! The stories that are played: one trouble, one way of delivering, at most one crash.

use std::fmt;

use crate::definition::Saga;
use crate::proofs::Rehearsal;

/// One story.
pub(super) struct Story<S: Saga> {
    pub(super) trouble: Trouble<S>,
    pub(super) delivery: Delivery,
    /// The boundary, counted from the story's start, at which everything that is not stored is lost.
    pub(super) crash: Option<usize>,
}

/// When something happens in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// It was entered; nothing that it asks has left yet.
    BeforeEffect,
    /// All that it asks was carried out; no answer has been heard.
    AfterEffect,
}

/// What goes wrong.
pub(super) enum Trouble<S: Saga> {
    /// Nothing.
    None,
    /// Somebody wants out.
    WayOut { step: &'static str, when: When, input: S::Input },
    /// Nobody is heard at this step until its time is over: nothing is carried out yet, or answers are lost.
    Silence { step: &'static str, when: When },
    /// The command is refused whenever it comes.
    Refusal { command: S::Command },
}

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Once, in order.
    Once,
    /// Each twice in a row.
    Twice,
    /// Newest first, and each once more after everything else was said.
    LateAndReversed,
}

impl Delivery {
    pub(super) const ALL: [Self; 3] = [Self::Once, Self::Twice, Self::LateAndReversed];
}

impl<S: Saga> Story<S> {
    pub(super) fn of(trouble: Trouble<S>) -> Self {
        Self { trouble, delivery: Delivery::Once, crash: None }
    }
}

impl<S: Saga> Trouble<S> {
    /// Everything that can go wrong in a saga with these steps, whose happy story has these commands.
    pub(super) fn all<R: Rehearsal<Saga = S>>(rehearsal: &R, steps: &[&'static str], commands: &[S::Command]) -> Vec<Self> {
        let mut all = vec![Self::None];
        for step in steps {
            for when in [When::BeforeEffect, When::AfterEffect] {
                all.extend(rehearsal.ways_out().into_iter().map(|input| Self::WayOut { step, when, input }));
                all.push(Self::Silence { step, when });
            }
        }
        let refused = |command: &&S::Command| !rehearsal.refuse(&mut rehearsal.begin().1, command).is_empty();
        all.extend(commands.iter().filter(refused).map(|command| Self::Refusal { command: command.clone() }));
        all
    }

    /// The step at which nobody is heard, if there is one.
    pub(super) fn silent_step(&self) -> Option<&'static str> {
        match self {
            Self::Silence { step, .. } => Some(step),
            Self::None | Self::WayOut { .. } | Self::Refusal { .. } => None,
        }
    }
}

impl<S: Saga> Clone for Trouble<S> {
    fn clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::WayOut { step, when, input } => Self::WayOut { step, when: *when, input: input.clone() },
            Self::Silence { step, when } => Self::Silence { step, when: *when },
            Self::Refusal { command } => Self::Refusal { command: command.clone() },
        }
    }
}

impl<S: Saga> Clone for Story<S> {
    fn clone(&self) -> Self {
        Self { trouble: self.trouble.clone(), delivery: self.delivery, crash: self.crash }
    }
}

impl<S: Saga> fmt::Display for Story<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trouble {
            Trouble::None => write!(f, "nothing goes wrong")?,
            Trouble::WayOut { step, when, input } => write!(f, "{input:?} at {step}, {when:?}")?,
            Trouble::Silence { step, when } => write!(f, "silence at {step}, {when:?}")?,
            Trouble::Refusal { command } => write!(f, "{command:?} is refused")?,
        }
        write!(f, "; messages {:?}", self.delivery)?;
        match self.crash {
            None => Ok(()),
            Some(crossing) => write!(f, "; crash at boundary {crossing}"),
        }
    }
}
