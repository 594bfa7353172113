//! Notices through the real parts: both databases, the in-process broker, real files, real SMTP.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod post_office;
mod world;

use std::time::Duration;

use homeward_notification::{Config, Smtp, Transport};
use homeward_proto::notification::v1::{NoticeKind, SendNotice};
use mail_parser::MessageParser;

use post_office::PostOffice;
use world::{Answer, World, notice, worlds, worlds_of_two};

fn quick() -> Config {
    Config { retry: Duration::from_millis(50), retry_max: Duration::from_millis(100), ..Config::default() }
}

fn by_mail(office: &PostOffice) -> Config {
    let url = format!("smtp://{}", office.address);
    Config { transport: Transport::Smtp, smtp: Some(Smtp { url, username: None, password: None, connections: 2 }), ..quick() }
}

#[tokio::test]
async fn each_notice_becomes_one_file_and_one_answer() {
    for world in worlds(quick()).await {
        let keys = ["r1.requested.owner", "r1.invitation.owner", "r1.closed.requester"];
        let kinds = [NoticeKind::Requested, NoticeKind::Invitation, NoticeKind::Closed];
        world.send(keys.iter().zip(kinds).map(|(key, kind)| notice(key, kind)).collect()).await;
        let answers = world.answers(3).await;
        assert!(keys.iter().all(|key| answers.contains(&Answer::Accepted((*key).into()))), "{answers:?}");
        assert_eq!(world.letters().len(), 3);
        let mail = std::fs::read(world.outbox().join("r1.invitation.owner.eml")).unwrap();
        let mail = MessageParser::default().parse(&mail).unwrap();
        assert_eq!(mail.message_id(), Some("r1.invitation.owner@homeward.localhost"));
        assert_eq!(mail.to().and_then(|to| to.first()).and_then(|to| to.address()), Some("lena@northwind.example"));
        assert!(mail.body_text(0).unwrap().contains("https://id.example/login"));
        world.stop().await;
    }
}

#[tokio::test]
async fn a_repeated_command_is_answered_again_and_not_sent_again() {
    for world in worlds(quick()).await {
        world.send(vec![notice("r1.closed.owner", NoticeKind::Closed)]).await;
        world.answers(1).await;
        let first = std::fs::metadata(world.outbox().join("r1.closed.owner.eml")).unwrap().modified().unwrap();
        world.send(vec![notice("r1.closed.owner", NoticeKind::Closed)]).await;
        assert_eq!(world.answers(2).await, vec![Answer::Accepted("r1.closed.owner".into()); 2]);
        let second = std::fs::metadata(world.outbox().join("r1.closed.owner.eml")).unwrap().modified().unwrap();
        assert_eq!(first, second);
        world.stop().await;
    }
}

#[tokio::test]
async fn what_can_never_be_sent_is_said_and_what_cannot_be_read_is_a_dead_letter() {
    for world in worlds(quick()).await {
        let wordless = SendNotice { fields: std::collections::HashMap::new(), ..notice("r1.closed.owner", NoticeKind::Closed) };
        let shapeless = notice("r1.nothing.owner", NoticeKind::Unspecified);
        world.send(vec![wordless, shapeless, notice("r1.invitation.owner", NoticeKind::Invitation)]).await;
        let answers = world.answers(2).await;
        assert!(answers.contains(&Answer::Accepted("r1.invitation.owner".into())), "{answers:?}");
        assert!(
            answers.contains(&Answer::Failed("r1.closed.owner".into(), "the notice lacks the field account_email".into())),
            "{answers:?}"
        );
        assert_eq!(world.dead_letters().await, 1);
        world.stop().await;
    }
}

#[tokio::test]
async fn text_and_address_leave_the_database_once_a_notice_was_accepted() {
    for world in worlds(quick()).await {
        world.send(vec![notice("r1.invitation.owner", NoticeKind::Invitation)]).await;
        world.answers(1).await;
        let (name, email, fields) = world.kept("r1.invitation.owner").await;
        assert_eq!((name.as_str(), email.as_str(), fields.as_str()), ("", "l…@northwind.example", "{}"));
        world.stop().await;
    }
}

#[tokio::test]
async fn a_notice_whose_worker_died_is_taken_over() {
    for world in worlds(quick()).await {
        world.leave_behind(&notice("r1.invitation.owner", NoticeKind::Invitation)).await;
        assert_eq!(world.answers(1).await, vec![Answer::Accepted("r1.invitation.owner".into())]);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_mail_server_gets_each_mail_and_its_moods_are_understood() {
    let office = PostOffice::open();
    for world in worlds(by_mail(&office)).await {
        let to = |key: &str, email: &str| SendNotice { recipient_email: email.into(), ..notice(key, NoticeKind::Invitation) };
        office.forget();
        world
            .send(vec![
                to("r1.a", "lena@northwind.example"),
                to("r1.b", "nobody@northwind.example"),
                to("r1.c", "busy@northwind.example"),
            ])
            .await;
        let answers = world.answers(3).await;
        assert!(answers.contains(&Answer::Accepted("r1.a".into())), "{answers:?}");
        assert!(answers.contains(&Answer::Accepted("r1.c".into())), "taken at the second try: {answers:?}");
        let refused = answers.iter().find_map(|answer| match answer {
            Answer::Failed(key, problem) if key == "r1.b" => Some(problem.clone()),
            Answer::Failed(..) | Answer::Accepted(_) => None,
        });
        assert!(refused.as_deref().is_some_and(|problem| problem.contains("550")), "{answers:?}");
        let mut ids = office.message_ids();
        ids.sort();
        assert_eq!(ids, ["r1.a@homeward.localhost", "r1.c@homeward.localhost"]);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_silent_mail_server_loses_nothing() {
    let office = PostOffice::open();
    let config = by_mail(&office);
    office.close();
    for world in worlds(config.clone()).await {
        world.send(vec![notice("r1.invitation.owner", NoticeKind::Invitation)]).await;
        world.until_tried("r1.invitation.owner").await;
        assert!(world.so_far().is_empty());
        let reopened = office.reopen();
        assert_eq!(world.answers(1).await, vec![Answer::Accepted("r1.invitation.owner".into())]);
        assert_eq!(reopened.message_ids(), ["r1.invitation.owner@homeward.localhost"]);
        reopened.close();
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_sends_each_notice() {
    let office = PostOffice::open();
    for world in worlds_of_two(by_mail(&office)).await {
        office.forget();
        let notices: Vec<SendNotice> = (0..60).map(|n| notice(&format!("r{n}.closed.owner"), NoticeKind::Closed)).collect();
        // The second command comes while the first is being carried out, by the other process perhaps.
        for _ in 0..2 {
            for part in notices.chunks(7) {
                world.send(part.to_vec()).await;
            }
        }
        let answers = world.answers(60).await;
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Accepted(_))), "{answers:?}");
        let mut ids = office.message_ids();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), office.message_ids().len()), (60, 60), "{} on {}", ids.len(), world.engine());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_takes_longer_than_a_claim_is_sent_by_nobody_else() {
    let office = PostOffice::open();
    let Config { smtp, .. } = by_mail(&office);
    let one_by_one = smtp.map(|smtp| Smtp { connections: 1, ..smtp });
    let config = Config { claim: Duration::from_millis(900), smtp: one_by_one, ..by_mail(&office) };
    for world in worlds_of_two(config).await {
        office.forget();
        let slow = |n: u32| SendNotice {
            recipient_email: format!("slow{n}@northwind.example"),
            ..notice(&format!("r{n}.closed.owner"), NoticeKind::Closed)
        };
        world.send((0..8).map(slow).collect()).await;
        world.answers(8).await;
        let mut ids = office.message_ids();
        ids.sort();
        let expected: Vec<String> = (0..8).map(|n| format!("r{n}.closed.owner@homeward.localhost")).collect();
        assert_eq!(ids, expected, "eight at a quarter of a second each, on {}", world.engine());
        world.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_send_does_not_start() {
    let nowhere = Config { transport: Transport::Smtp, smtp: None, ..quick() };
    let refused = World::try_start(&nowhere).await.unwrap_err();
    assert!(refused.contains("notification.smtp is missing"), "{refused}");
    let nobody = Config { from: "homeward".into(), ..quick() };
    let refused = World::try_start(&nobody).await.unwrap_err();
    assert!(refused.contains("notification.from \"homeward\" is not of the form"), "{refused}");
}

#[tokio::test]
async fn the_tables_agree_on_both_engines() {
    homeward_store::testing::schemas_agree(&homeward_notification::Notification::migrations()).await;
}
