use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::DateTime;
use homeward_chassis::telemetry::TraceContext;
use homeward_types::MessageId;
use uuid::Uuid;

use super::*;
use crate::delivery::Kind;

fn notice(kind: Kind) -> Notice {
    let fields = [
        ("account_email", "lena@northwind.example"),
        ("requester", "Hana Novak"),
        ("reason", "lost phone"),
        ("reset_page", "https://admin.example/users/1"),
        ("sign_in_url", "https://id.example/login"),
        ("not_me_url", "https://homeward.example/not-me/abc"),
        ("due_at", "2027-01-15 12:00 UTC"),
        ("outcome", "not_enrolled"),
        ("outcome_sentence", "Your account is back in the mandatory policy without a factor."),
        ("sentence", "An account has been overdue for ten minutes."),
        ("kind", "overdue"),
        ("next_action", "the return is tried again"),
        ("safe_action", "look at the provider's status page"),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
    ];
    Notice {
        delivery_key: "0191d1a0.invitation.owner".into(),
        recovery: "0191d1a0-0000-7000-8000-000000000001".into(),
        organisation: "northwind".parse().unwrap(),
        kind,
        recipient_name: "Lena Fischer".into(),
        recipient_email: "lena@northwind.example".into(),
        fields: fields.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
        attempts: 0,
        trace: TraceContext::default(),
        message: MessageId::from_uuid(Uuid::nil()),
        claimed_until: homeward_types::Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn every_kind_of_notice_reads_well() {
    let mut printed = String::new();
    for kind in Kind::ALL {
        let text = text::of(&notice(kind)).unwrap();
        write!(printed, "=== {}\n{}\n", text.subject, text.body).unwrap();
    }
    insta::assert_snapshot!(printed);
}

#[test]
fn the_same_notice_has_the_same_message_id_and_another_has_another() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let letter = write(&Config::default(), &notice(Kind::Invitation), now).unwrap();
    let mail = String::from_utf8(letter.message.formatted()).unwrap();
    assert!(mail.contains("Message-ID: <0191d1a0.invitation.owner@homeward.localhost>"), "{mail}");
    assert!(mail.contains("https://id.example/login"), "links stand in one line: {mail}");
    assert_ne!(local_part("a/b"), local_part("a.b"));
    assert_eq!(local_part("../x@y"), "=2f=x=40=y");
}

#[test]
fn a_notice_without_what_its_text_needs_says_what_is_missing() {
    for kind in Kind::ALL {
        let bare = Notice { fields: BTreeMap::new(), ..notice(kind) };
        assert!(matches!(write(&Config::default(), &bare, DateTime::UNIX_EPOCH), Err(LetterError::Field(_))), "{kind:?}");
    }
}
