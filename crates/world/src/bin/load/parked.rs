//! What a recovery takes on disk while it waits: for its approval, for its user, and once it is closed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use homeward_world::System;
use homeward_world::crowd::Person;
use homeward_world::desk::{BULK, Ballot, Desk};
use homeward_world::letters::Letters;
use homeward_world::people::Browsers;

use crate::{Bench, part};

const PATIENCE: Duration = Duration::from_mins(5);

/// Moves all of them from one waiting place to the next, and weighs the databases between.
pub async fn measure(bench: &Bench, folder: &Path) -> anyhow::Result<()> {
    let count = bench.args.parked;
    let (simulated, mut system) = bench.world(folder, count, count)?;
    let people = bench.people(&simulated).await?;
    let browsers = Browsers::of(&simulated.provider)?;
    system.start().await?;
    system.knows_everybody().await?;
    let mut letters = Letters::watch(&system.outbox())?;
    let desk = Desk::of(&system)?;
    let mut scale = Scale { last: weigh(&mut system).await?, count };

    let mut recoveries = Vec::new();
    for some in people.chunks(BULK) {
        recoveries.extend(desk.request(&some.iter().map(|person| person.email.as_str()).collect::<Vec<_>>()).await?);
        desk.prove(&recoveries[recoveries.len() - some.len()..]).await?;
    }
    all_got(&mut letters, "requested", count).await?;
    scale.say("waiting for its approval", weigh(&mut system).await?);

    for some in recoveries.chunks(BULK) {
        let ballots: Vec<_> = some.iter().map(|recovery| Ballot { recovery: recovery.clone(), approve: true }).collect();
        desk.vote(&ballots).await?;
    }
    reset(bench, &browsers, &mut letters, &people).await?;
    all_got(&mut letters, "invitation", count).await?;
    scale.say("out, waiting for its user", weigh(&mut system).await?);

    for some in people.chunks(BULK) {
        let emails: Vec<String> = some.iter().map(|person| person.email.clone()).collect();
        ensure!(browsers.sign_in_and_enrol(&emails).await?.into_iter().all(|done| done), "somebody could not sign in");
    }
    all_got(&mut letters, "closed", count).await?;
    scale.say("closed", weigh(&mut system).await?);
    Ok(())
}

/// Removes old factors once everybody who has one is out.
async fn reset(bench: &Bench, browsers: &Browsers, letters: &mut Letters, people: &[Person]) -> anyhow::Result<()> {
    let lost: Vec<String> = people.iter().filter(|p| p.email.starts_with("lost.")).map(|p| p.account.clone()).collect();
    if bench.args.owners_only {
        // Nobody is told to: look at the provider's page until the button is there.
        let began = Instant::now();
        let mut left = lost;
        while !left.is_empty() {
            ensure!(began.elapsed() < PATIENCE, "{} accounts were not lent within {PATIENCE:?}", left.len());
            let answers = browsers.reset(left).await?;
            left = answers
                .into_iter()
                .filter(|a| a.outcome == homeward_simulator::Reset::PolicyMandatory)
                .map(|a| a.account_id)
                .collect();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        return Ok(());
    }
    all_got(letters, "reset_needed", lost.len()).await?;
    browsers.reset(lost).await.map(drop)
}

/// Waits until letters of this kind have come about so many recoveries.
async fn all_got(letters: &mut Letters, kind: &str, count: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    while letters.recoveries(kind) < count {
        letters.arrived()?;
        ensure!(began.elapsed() < PATIENCE, "only {} of {count} letters of the kind {kind} came", letters.recoveries(kind));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

struct Scale {
    last: u64,
    count: usize,
}

impl Scale {
    fn say(&mut self, place: &str, now: u64) {
        let more = usize::try_from(now.saturating_sub(self.last)).unwrap_or(usize::MAX);
        println!("on disk        {:>6.0} bytes more for each recovery {place}", part(more, self.count));
        self.last = now;
    }
}

/// The bytes of all databases, with Homeward stopped so that nothing is on its way, and started again.
async fn weigh(system: &mut System) -> anyhow::Result<u64> {
    system.process()?.stop()?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(&system.data)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".db") {
            bytes += entry.metadata()?.len();
        }
    }
    system.start().await?;
    Ok(bytes)
}
