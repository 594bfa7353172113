//! One part of the test: its own people come, something happens to Homeward meanwhile, and all of them come home.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use homeward_simulator::AccountTruth;
use homeward_world::crowd::{Crowd, Fate, Habits, Person};
use homeward_world::letters::Letters;
use homeward_world::people::Browsers;
use homeward_world::{Cluster, Simulated};
use tokio::task::JoinHandle;

use crate::faults::Faults;
use crate::verdict;

/// Everyone in the organisation.
pub struct People {
    pub simulated: Simulated,
    /// As they were before the first part.
    pub before: Vec<AccountTruth>,
    /// Those who need help and did not ask yet.
    needy: VecDeque<Person>,
}

impl People {
    pub async fn of(cluster: &Cluster) -> Self {
        let simulated = cluster.simulated().unwrap();
        let before = simulated.accounts().await.unwrap();
        let needy = before.iter().filter(|account| account.email.starts_with("stranded.") || account.email.starts_with("lost."));
        let mut needy: Vec<Person> = needy
            .map(|account| Person { email: account.email.clone(), account: account.id.clone(), fate: Fate::Enrols })
            .collect();
        needy.sort_by(|a, b| a.account.cmp(&b.account));
        for (n, person) in needy.iter_mut().enumerate() {
            person.fate = match n % 50 {
                7 => Fate::Denied,
                17 | 37 => Fate::Cancels,
                _ => Fate::Enrols,
            };
        }
        Self { simulated, before, needy: needy.into() }
    }
}

/// A part that is going on.
pub struct Part {
    name: &'static str,
    began: Instant,
    /// At least so many must be told how it ended before the faults are over.
    least: usize,
    crowd: Crowd,
    living: JoinHandle<anyhow::Result<Letters>>,
}

impl Part {
    /// People begin to ask, so many at once at most.
    pub fn begin(name: &'static str, cluster: &Cluster, people: &mut People, least: usize, window: usize) -> Self {
        let habits = Habits { window, bulk: 20, askers: 2, dawdle: Duration::from_secs(3), patience: Duration::from_mins(2) };
        let desk = cluster.desk().unwrap().insisting();
        let browsers = Browsers::of(&people.simulated.provider).unwrap();
        let crowd = Crowd::new(desk, browsers, habits, std::mem::take(&mut people.needy));
        let living = tokio::spawn({
            let (crowd, letters) = (crowd.clone(), cluster.letters());
            async move { crowd.live(&letters).await }
        });
        Self { name, began: Instant::now(), least, crowd, living }
    }

    /// Recoveries that were asked for and whose owner was not told yet how it ended.
    pub fn under_way(&self) -> usize {
        let tally = self.crowd.tally();
        tally.asked - tally.told
    }

    /// Recoveries that came to their end.
    pub fn told(&self) -> usize {
        self.crowd.tally().told
    }

    /// Fails as soon as the people have met what they should not.
    pub async fn goes_on(&mut self, cluster: &Cluster) {
        if self.living.is_finished() {
            let ended = (&mut self.living).await.unwrap();
            panic!("{}: {:?}\n{}", self.name, ended.err(), cluster.last_words());
        }
    }

    /// Waits until so many are under way.
    pub async fn in_swing(&mut self, cluster: &Cluster, wanted: usize) {
        while self.under_way() < wanted {
            self.goes_on(cluster).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until so many more have come to their end: the services get on with their work.
    pub async fn gets_on(&mut self, cluster: &Cluster, more: usize) {
        let (before, began) = (self.told(), Instant::now());
        while self.told() < before + more {
            self.goes_on(cluster).await;
            assert!(began.elapsed() < Duration::from_mins(2), "{}: no progress\n{}", self.name, cluster.last_words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Nobody asks any more; waits until everybody is home, and looks whether all is as it must be.
    pub async fn end(mut self, cluster: &mut Cluster, people: &mut People, faults: &Faults) {
        self.gets_on(cluster, self.least.saturating_sub(self.told())).await;
        self.crowd.stop_asking();
        let faulty = self.began.elapsed();
        cluster.ready().await.unwrap();
        let letters = self.living.await.unwrap();
        let letters = letters.unwrap_or_else(|error| panic!("{}: {error:#}\n{}", self.name, cluster.last_words()));
        people.needy = self.crowd.not_asked().into();
        let desk = cluster.desk().unwrap().insisting();
        verdict::nobody_is_left_behind(&desk, cluster, people, &self.crowd).await;
        verdict::nothing_is_left_over(cluster, faults).await;
        let repeated = verdict::letters_are_repeated_only_by_kills(&letters, &cluster.letters(), faults.cuts());
        println!(
            "{}: faults {:.0} s, everybody home after {:.0} s; {:?}; {repeated} letters sent once more",
            self.name,
            faulty.as_secs_f64(),
            self.began.elapsed().as_secs_f64(),
            self.crowd.tally()
        );
    }
}
