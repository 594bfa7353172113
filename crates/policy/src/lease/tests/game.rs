//! A game: random events against a provider that answers late, twice, wrongly or not at all. The rules hold at every
//! step, and when the faults end every lease ends.

use proptest::prelude::*;

use super::*;

/// The account at the provider, as it really is, with its whole history.
#[derive(Debug, Clone)]
struct World {
    /// Whether the provider's versions grow with each move.
    versions: bool,
    /// From when on, where, in which version; oldest first.
    history: Vec<(i64, PolicyId, i64)>,
    /// Moves that take effect later: when, where, whether it is a lend of ours.
    pending: Vec<(i64, PolicyId, bool)>,
    /// A person moved the account: what is closed may be out again.
    meddled: bool,
    /// A person moved the account into the recovery policy, where our lend leads, too. Rule 4 takes the lend for the
    /// cause of what is seen then: the two cannot be told apart.
    helped: bool,
}

impl World {
    fn place(&self) -> &PolicyId {
        &self.history.last().unwrap().1
    }

    fn moved(&mut self, when: i64, to: &PolicyId) {
        let version = self.history.last().unwrap().2;
        if self.place() != to {
            self.history.push((when, to.clone(), version + i64::from(self.versions)));
        }
    }

    /// Lets everything happen that is to happen until `now`.
    fn run_to(&mut self, now: i64) {
        self.pending.sort();
        while let Some((when, to, _)) = self.pending.first().cloned().filter(|(when, _, _)| *when <= now) {
            self.pending.remove(0);
            self.moved(when, &to);
        }
    }

    /// What a read begun at `now` shows that is `stale` seconds behind.
    fn read(&self, now: i64, stale: i64) -> Reading {
        let (_, policy, version) =
            self.history.iter().rev().find(|(since, _, _)| *since <= now - stale).unwrap_or(&self.history[0]);
        let protects = *policy != super::policy(RECOVERY);
        let place = if protects { Place::Protecting(policy.clone()) } else { Place::Out(policy.clone()) };
        reading(place, *version, now)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Send { claim: i64, lands_after: Option<i64>, answer: Spoken },
    Read { stale: i64 },
    Return,
    Lend,
    Due,
    Miss(bool),
    Release,
    LoseHome,
    Meddle(bool),
    Wake,
}

#[derive(Debug, Clone, Copy)]
enum Spoken {
    Accepted,
    Refused,
    Impossible,
    Unknown,
    Never,
}

fn step() -> impl Strategy<Value = Step> {
    let spoken = prop_oneof![4 => Just(Spoken::Accepted), 1 => Just(Spoken::Refused), 1 => Just(Spoken::Impossible), 2 => Just(Spoken::Unknown), 2 => Just(Spoken::Never)];
    prop_oneof![
        4 => (1i64..5).prop_map(Step::Wait),
        4 => (5i64..40).prop_map(Step::Wait),
        1 => (40i64..400).prop_map(Step::Wait),
        6 => (1i64..30, prop::option::weighted(0.8, prop_oneof![0i64..5, 0i64..=100]), spoken)
            .prop_map(|(claim, lands_after, answer)| Step::Send { claim, lands_after, answer }),
        8 => prop_oneof![3 => Just(0i64), 2 => Just(10), 1 => 1i64..10].prop_map(|stale| Step::Read { stale }),
        2 => Just(Step::Return),
        2 => Just(Step::Lend),
        1 => Just(Step::Due),
        1 => any::<bool>().prop_map(Step::Miss),
        1 => Just(Step::Release),
        1 => Just(Step::LoseHome),
        1 => any::<bool>().prop_map(Step::Meddle),
        1 => Just(Step::Wake),
    ]
}

struct Game {
    case: Case,
    world: World,
    now: i64,
    trust: VersionTrust,
}

impl Game {
    fn new(versions: bool) -> Self {
        let world =
            World { versions, history: vec![(i64::MIN, policy(HOME), 1)], pending: Vec::new(), meddled: false, helped: false };
        let trust = if versions { TRUSTED } else { UNTRUSTED };
        Self { case: Case::default(), world, now: 0, trust }
    }

    fn happen(&mut self, event: &Event) {
        let before = self.case.clone();
        let decision = self.case.apply(event, at(self.now));
        self.check(&before, event, &decision);
    }

    fn check(&self, before: &Case, event: &Event, decision: &Decision) {
        let Some(lease) = &decision.lease else { return };
        let was = before.lease.as_ref();
        // The version grows with each change and only then.
        assert_eq!(lease.version, was.map_or(0, |was| was.version) + i64::from(decision.changed), "{event:?}");
        // Forward only.
        let rank = |state: &State| match state {
            State::Opening => 0,
            State::Active => 1,
            State::Closing | State::Settling => 2,
            State::Closed(_) => 3,
        };
        assert!(was.is_none_or(|was| rank(&was.state) <= rank(&lease.state)), "{event:?} led back: {was:?} → {lease:?}");
        // A destination is the recovery policy or this lease's home, and these differ.
        assert_ne!(lease.home, lease.recovery_policy);
        // No lend is ready or newly sent once the lease is not opening; never two lends that may take effect.
        for attempt in &decision.attempts {
            let newly = before.attempts.iter().all(|old| old.state != attempt.state || old.number != attempt.number);
            let lend_moves =
                attempt.kind == Kind::Lend && matches!(attempt.state, AttemptState::Ready | AttemptState::Sent { .. });
            assert!(!(newly && lend_moves && lease.state != State::Opening), "{event:?} made {attempt:?} in {:?}", lease.state);
        }
        let live = self.case.attempts.iter().filter(|a| a.kind == Kind::Lend).count();
        assert!(live <= 1, "{event:?}: two lends may take effect: {:?}", self.case.attempts);
        if let (Some(end), true) = (lease.end(), was.is_some_and(Lease::is_open)) {
            self.check_end(end, event);
        }
    }

    /// What a closed lease means (rule 4).
    fn check_end(&self, end: &LeaseEnd, event: &Event) {
        let ours = self.world.pending.iter().any(|(_, _, lend)| *lend);
        assert!(!ours || self.world.helped, "closed as {end} by {event:?} while a lend of ours may still land: {:?}", self.world);
        let unresolved = self.case.attempts.iter().find_map(|a| (a.kind == Kind::Lend).then(|| a.state.unresolved()).flatten());
        if let Some(last) = unresolved {
            assert!(at(self.now) >= terms().settled_after(last), "closed as {end} at {} before {last} settled", self.now);
        }
        let out = *self.world.place() == policy(RECOVERY);
        match end {
            LeaseEnd::Home | LeaseEnd::ProtectedElsewhere(_) => {
                let Event::Read { .. } = event else { panic!("closed as {end} by {event:?}: not by a reading") };
                assert!(!out || self.world.meddled, "closed as {end} while the account is out: {:?}", self.world);
            }
            LeaseEnd::Gone | LeaseEnd::Released => {}
            LeaseEnd::NeverLent => panic!("an opened lease ended as never lent"),
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Wait(by) => {
                self.now += by;
                self.world.run_to(self.now);
                self.happen(&Event::Tick);
            }
            Step::Send { claim, lands_after, answer } => self.send(*claim, *lands_after, *answer),
            Step::Read { stale } => {
                let reading = self.world.read(self.now, *stale);
                self.happen(&Event::Read { reading, trust: self.trust });
            }
            Step::Return => self.happen(&asked()),
            Step::Lend => self.happen(&Event::LendAccepted(opened())),
            Step::Due => self.happen(&Event::Due),
            Step::Miss(search) => {
                let look = if *search { LookKind::Search } else { LookKind::Itself };
                self.happen(&Event::Missed { look, begun_at: at(self.now) });
            }
            Step::Release => self.happen(&Event::Released),
            Step::LoseHome => self.happen(&Event::HomeLost { default_home: policy(DEFAULT) }),
            Step::Meddle(home) => {
                self.world.meddled = true;
                self.world.helped |= !home;
                let to = if *home { policy(OTHER) } else { policy(RECOVERY) };
                self.world.moved(self.now, &to);
            }
            Step::Wake => self.happen(&Event::Woken),
        }
    }

    /// A worker marks what is ready, writes at some moment of its claim, and may or may not come back.
    fn send(&mut self, claim: i64, lands_after: Option<i64>, answer: Spoken) {
        let Some(ready) = self.case.attempts.iter().find(|a| a.state == AttemptState::Ready && a.not_before <= at(self.now))
        else {
            return;
        };
        let (number, kind) = (ready.number, ready.kind);
        let last = ready.not_after.map_or(self.now + claim, |last| (self.now + claim).min((last - at(0)).num_seconds()));
        self.happen(&sent(number, last));
        let marked = self.case.attempts.iter().any(|a| a.number == number && matches!(a.state, AttemptState::Sent { .. }));
        if !marked {
            return;
        }
        let lease = self.case.lease();
        let to = kind.destination(lease.id).policy(lease).unwrap().clone();
        let refused = matches!(answer, Spoken::Refused | Spoken::Impossible);
        if let (Some(after), false) = (lands_after, refused) {
            // Sent at the last moment of its claim, and then as late as the limit allows.
            self.world.pending.push((last - 1 + after, to, kind == Kind::Lend));
        }
        let answer = match answer {
            Spoken::Accepted => Answer::Accepted,
            Spoken::Refused => Answer::Refused { retry_after: Duration::from_secs(3), detail: String::new() },
            Spoken::Impossible => Answer::Impossible { detail: String::new() },
            Spoken::Unknown => Answer::Unknown { detail: String::new() },
            Spoken::Never => return,
        };
        self.happen(&answered(number, answer));
    }

    /// No more faults: what is scheduled is done when it is due, writes take effect at once, reads are fresh.
    fn fair_end(&mut self) -> usize {
        for steps in 0..400 {
            let Some(lease) = self.case.lease.clone().filter(Lease::is_open) else { return steps };
            let ready = self.case.attempts.iter().any(|a| a.state == AttemptState::Ready);
            if ready && lease.state != State::Settling {
                self.send(30, Some(-29), Spoken::Accepted);
                self.world.run_to(self.now);
            }
            let seconds = |at: Timestamp| (at - super::at(0)).num_seconds();
            let next = [lease.next_read_at, lease.tick_at].into_iter().flatten().map(seconds).min();
            assert!(ready || next.is_some(), "nothing will ever happen again: {lease:?}");
            self.now = self.now.max(next.unwrap_or(self.now)).max(self.now + i64::from(!ready));
            self.world.run_to(self.now);
            self.happen(&Event::Tick);
            if self.case.lease().next_read_at.is_some_and(|at| at <= super::at(self.now)) {
                let reading = self.world.read(self.now, 0);
                self.happen(&Event::Read { reading, trust: self.trust });
            }
        }
        panic!("still {} after 400 fair steps: {:?}", self.case.state(), self.case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn the_rules_hold_at_every_step_and_every_lease_ends(versions in any::<bool>(), steps in prop::collection::vec(step(), 1..50)) {
        let mut game = Game::new(versions);
        game.happen(&Event::LendAccepted(opened()));
        for step in &steps {
            game.play(step);
        }
        game.fair_end();
        let lease = game.case.lease();
        prop_assert!(!lease.is_open());
    }

    #[test]
    fn a_return_that_comes_first_leaves_nothing_to_lend(steps in prop::collection::vec(step(), 1..20)) {
        let mut game = Game::new(true);
        game.happen(&asked());
        for step in &steps {
            game.play(step);
        }
        prop_assert_eq!(game.case.lease().end(), Some(&LeaseEnd::NeverLent));
        prop_assert_eq!(game.case.lease().attempts, 0);
    }
}
