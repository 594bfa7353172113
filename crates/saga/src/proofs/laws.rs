//! What must hold of every single decision, whatever the saga.

use homeward_types::Timestamp;

use crate::definition::{Compensation, Saga, Verdict};
use crate::plan::{Event, Move, Progress, due_at, plan};

/// Checks one decision: `moved` is what [`plan`] said about `event` for a saga at `before`.
///
/// - What changes nothing asks nothing.
/// - A saga goes forward step by step. It leaves this way only: before the guard to the last step, newest compensations
///   first, the failed step's included; from the guard on to the guarding step, which it leaves only when that is done.
/// - While there is something that only the guarding step can end, it is neither past it nor closed.
/// - A repeat takes it nowhere, and a second tick does nothing.
/// - Once it was ticked, it is not due until later. Closed, it is never due.
///
/// # Errors
/// A sentence about the law that is broken.
pub fn check<S: Saga>(
    saga: &S,
    before: &Progress<S::Data>,
    event: &Event<S::Input>,
    now: Timestamp,
    moved: &Move<S::Data, S::Command>,
) -> Result<(), String> {
    let nothing = moved.progress == *before && moved.commands.is_empty() && moved.entered.is_empty();
    if !moved.changed && !nothing {
        return Err(format!(
            "it says that nothing changed, but {before:?} became {:?} with {:?}",
            moved.progress, moved.commands
        ));
    }
    path(saga, before, moved)?;
    held_by_the_guard(saga, before, moved)?;
    repeat(saga, event, now, moved)?;
    due(saga, event, now, moved)
}

/// Follows the steps that were entered.
fn path<S: Saga>(saga: &S, before: &Progress<S::Data>, moved: &Move<S::Data, S::Command>) -> Result<(), String> {
    let definition = saga.definition();
    let (last, guard, guarding) = (definition.last(), definition.guard(), definition.guarding());
    let data = &moved.progress.data;
    let fresh = before.step.as_deref() == Some("");
    let mut at = before.step.as_deref().and_then(|step| definition.position(step));
    for step in &moved.entered {
        let Some(to) = definition.position(step) else { return Err(format!("it entered {step}, which is not its step")) };
        let back = definition.is_guarded() && at.is_none_or(|at| at > guarding) && to == guarding;
        let legal = match at {
            None if fresh => to == 0,
            None => back,
            Some(at) if at + 1 == to || back => true,
            Some(at) if at < guard && at < guarding && to == last => compensated(saga, at, moved)?,
            Some(at) => at < guarding && to == guarding && (at >= guard || saga.needs_guard(data)),
        };
        if !legal {
            let from = at.map_or("the start or the end", |at| definition.steps()[at].name());
            return Err(format!("it went from {from} to {step}"));
        }
        at = Some(to);
    }
    let closes = moved.progress.is_closed() && !before.is_closed();
    if closes && at != Some(last) {
        return Err("it closed without the last step".to_owned());
    }
    let stands = moved.progress.step.as_deref().and_then(|step| definition.position(step));
    if !moved.progress.is_closed() && stands != at {
        return Err(format!("it entered {:?} and stands at {:?}", moved.entered, moved.progress.step));
    }
    Ok(())
}

/// Whether the compensations of the steps up to `failed` are among the commands, newest first.
fn compensated<S: Saga>(saga: &S, failed: usize, moved: &Move<S::Data, S::Command>) -> Result<bool, String> {
    let mut asked = moved.commands.iter();
    for step in saga.definition().steps()[..=failed].iter().rev() {
        if let Compensation::Command(command) = step.compensation(&moved.progress.data)
            && !asked.any(|command_asked| *command_asked == command)
        {
            return Err(format!(
                "step {} is not undone in its turn: {command:?} is missing in {:?}",
                step.name(),
                moved.commands
            ));
        }
    }
    Ok(true)
}

fn held_by_the_guard<S: Saga>(saga: &S, before: &Progress<S::Data>, moved: &Move<S::Data, S::Command>) -> Result<(), String> {
    let definition = saga.definition();
    if !definition.is_guarded() || moved.progress.step.as_deref() == Some("") {
        return Ok(());
    }
    let guarding = definition.guarding();
    let data = &moved.progress.data;
    let over = definition.steps()[guarding].verdict(data) == Verdict::Done;
    let position = |progress: &Progress<S::Data>| match progress.step.as_deref() {
        None => Some(usize::MAX),
        Some(step) => definition.position(step),
    };
    let past = position(&moved.progress).is_some_and(|at| at > guarding);
    if past && !over && saga.needs_guard(data) {
        return Err(format!("it is at {:?} although {} is not over", moved.progress.step, definition.steps()[guarding].name()));
    }
    let was_held = position(before).is_some_and(|at| at <= guarding && at >= definition.guard());
    if past && was_held && !over {
        return Err(format!("it left {} before that was done", definition.steps()[guarding].name()));
    }
    Ok(())
}

fn repeat<S: Saga>(saga: &S, event: &Event<S::Input>, now: Timestamp, moved: &Move<S::Data, S::Command>) -> Result<(), String> {
    let again = plan(saga, &moved.progress, event, now);
    if !again.entered.is_empty() || again.progress.step != moved.progress.step {
        return Err(format!("the same {event:?} again took it from {:?} to {:?}", moved.progress.step, again.progress.step));
    }
    if matches!(event, Event::Tick | Event::Start) && again.changed {
        return Err(format!("the same {event:?} again asked {:?}", again.commands));
    }
    Ok(())
}

fn due<S: Saga>(saga: &S, event: &Event<S::Input>, now: Timestamp, moved: &Move<S::Data, S::Command>) -> Result<(), String> {
    match due_at(saga, &moved.progress) {
        Some(at) if moved.progress.is_closed() => Err(format!("it is closed and due at {at}")),
        Some(at) if matches!(event, Event::Tick) && at <= now => Err(format!("it was ticked at {now} and is still due, at {at}")),
        Some(_) | None => Ok(()),
    }
}
