//! Recovery's key for grants is replaced while everything runs: policy is told of the new one first, and forgets the old one last.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use homeward_types::Limits;
use homeward_world::Simulated;
use homeward_world::crowd::{Crowd, Fate, Habits, Person};
use homeward_world::people::Browsers;
use homeward_world::simulated::Population;
use rcgen::{KeyPair, PKCS_ED25519};

use crate::site::{PATIENCE, ROLES, Site};

const KEYS: &str = "HOMEWARD__GRANTS__PUBLIC_KEYS";
const SIGNING: &str = "HOMEWARD__GRANTS__SIGNING_KEY_FILE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_for_grants_is_replaced_without_a_lend_refused() {
    let place = tempfile::tempdir().unwrap();
    let population = Population { accounts: 100, stranded: 3, lost_phones: 0, zero_delay: true };
    let simulated = Simulated::start(Path::new(env!("CARGO_BIN_EXE_homeward")), place.path(), population).unwrap();
    let limits = Limits { exposure_percent: 20.0, hard_cap_percent: 30.0, many_requests: u32::MAX, ..Limits::short() };
    let mut site = Site::prepare(&simulated.provider, limits).await;
    site.start_all().await;
    let accounts = simulated.accounts().await.unwrap();
    let mut needy: Vec<_> = accounts.into_iter().filter(|account| account.email.starts_with("stranded.")).collect();
    let mut help = async |site: &Site| {
        let account = needy.pop().unwrap();
        one_is_helped(site, &simulated, Person { email: account.email, account: account.id, fate: Fate::Enrols }).await;
    };
    help(&site).await;

    let file = site.folder.path().join("new.key");
    std::fs::write(&file, KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = file.display().to_string();
    let (old, new) = (site.grant_key(&[]), site.grant_key(&[(SIGNING, &file)]));
    assert_ne!(old, new);

    restart(&mut site, "policy", &[(KEYS, &format!("[{old:?}, {new:?}]"))]).await;
    help(&site).await;
    restart(&mut site, "recovery", &[(SIGNING, &file)]).await;
    restart(&mut site, "policy", &[(KEYS, &format!("[{new:?}]"))]).await;
    help(&site).await;
    for role in ROLES {
        site.stop(role).await;
    }
}

async fn restart(site: &mut Site, role: &'static str, different: &[(&str, &str)]) {
    site.stop(role).await;
    site.start(role, different);
    site.until(role, "ready again", |status, _| status == 200).await;
}

async fn one_is_helped(site: &Site, simulated: &Simulated, person: Person) {
    let habits = Habits { window: 1, bulk: 1, askers: 1, dawdle: Duration::ZERO, patience: PATIENCE };
    let (desk, email) = (site.desk().insisting(), person.email.clone());
    let crowd = Crowd::new(desk.clone(), Browsers::of(&simulated.provider).unwrap(), habits, [person]);
    crowd.live(&site.letters()).await.unwrap_or_else(|error| panic!("{error:#}\n{}", site.last_words("policy")));
    let began = Instant::now();
    loop {
        let all = desk.recoveries(false).await.unwrap();
        let its = all.iter().find(|recovery| recovery.email == email).unwrap();
        if !its.outcome.is_empty() {
            assert_eq!(its.outcome, "enrolled", "{}", its.outcome_sentence);
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{} is still at {}", its.recovery, its.step);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
