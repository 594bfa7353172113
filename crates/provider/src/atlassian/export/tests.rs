use proptest::prelude::*;

use super::*;

const HEADINGS: &str = "Name,Email,Last active,Status,Billable,Policy name,Policy type,SAML SSO,Two-step verification,Apps\n";

fn read(text: &str) -> (Vec<Row>, Vec<BadRow>) {
    let mut summary = Summary::default();
    let rows = Export::open(text.as_bytes()).expect("an export").map(|row| summary.add(row));
    let (good, bad): (Vec<_>, Vec<_>) = rows.partition(Result::is_ok);
    (good.into_iter().filter_map(Result::ok).collect(), bad.into_iter().filter_map(Result::err).collect())
}

#[test]
fn rows_are_read_by_their_headings() {
    let text = format!(
        "\u{feff}{HEADINGS}Mia Berg,Mia@Example.com,2026-11-20,Active,Yes,Everyone,Local,No,Enabled,Jira\n\
         \n\"Berg, Tom\",tom@example.com,,Active,Yes,Recovery,Local,No,Not enabled,\"Jira\nConfluence\"\nUma,uma@example.com,,Active,Yes,,,No,Required,\n"
    );
    let (rows, bad) = read(&text);
    assert_eq!(bad, []);
    let seen: Vec<_> =
        rows.iter().map(|row| (row.line, row.email.as_str(), row.name.as_str(), row.policy.as_str(), row.factor)).collect();
    assert_eq!(
        seen,
        [
            (2, "mia@example.com", "Mia Berg", "Everyone", Factor::Enrolled),
            (4, "tom@example.com", "Berg, Tom", "Recovery", Factor::Absent),
            (6, "uma@example.com", "Uma", "", Factor::Unknown)
        ]
    );
    let semicolons = "email;two-step verification;policy name\r\na@x.com;yes;P\r\n";
    assert_eq!(read(semicolons).0[0].policy, "P");
}

#[test]
fn a_bad_row_is_told_with_its_line_and_no_other_is_lost() {
    let text = format!(
        "{HEADINGS}A,a@x.com,,Active,Yes,P,Local,No,Yes,\nshort,b@x.com\nC,not an address,,,,P,,,Yes,\nD,,,,,P,,,Yes,\n\
         E,A@X.com,,Active,Yes,P,Local,No,No,\nF,f@x.com,,Active,Yes,P,Local,No,No,\n"
    );
    let (rows, bad) = read(&text);
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["A", "F"]);
    assert_eq!(bad.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert!(bad[0].reason.contains("2 columns") && bad[3].reason.contains("earlier row"), "{bad:?}");
    assert!(bad.iter().all(|row| !row.reason.contains('@')), "no address in what is told: {bad:?}");
    let mut summary = Summary::default();
    Export::open(text.as_bytes()).expect("an export").for_each(|row| drop(summary.add(row)));
    let policy = &summary.policies["P"];
    assert_eq!((summary.rows, summary.bad, policy.accounts, policy.enrolled, policy.absent), (2, 4, 2, 1, 1));
}

#[test]
fn an_open_quotation_mark_is_told_with_what_is_lost() {
    let mut text = format!("{HEADINGS}A,a@x.com,,,,P,,,Yes,\n\"B,b@x.com,,,,P,,,Yes,\n");
    for n in 0..100 {
        text.extend(["N,n", &n.to_string(), "@x.com,,,,P,,,Yes,\n"]);
    }
    let (rows, bad) = read(&text);
    assert_eq!((rows.len(), bad.len()), (1, 1));
    assert!(bad[0].line == 3 && bad[0].reason.contains("lines, which are lost"), "{bad:?}");
}

#[test]
fn what_is_no_export_is_refused_with_the_reason() {
    let refused = |bytes: &[u8]| Export::open(bytes).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused(b"Name,Email\n").contains("\"Policy name\"; its columns are: name, email"));
    assert!(refused(b"").contains("no column"));
    assert!(refused(b"\xFF\xFEN\0a\0").contains("UTF-16"));
}

proptest! {
    #[test]
    fn no_file_brings_the_reader_down(bytes in proptest::collection::vec(any::<u8>(), 0..400), headed in any::<bool>()) {
        let mut file = if headed { HEADINGS.as_bytes().to_vec() } else { Vec::new() };
        file.extend(bytes);
        if let Ok(export) = Export::open(file.as_slice()) {
            prop_assert!(export.count() < 500);
        }
    }

    #[test]
    fn every_row_is_used_or_told(fields in proptest::collection::vec("[a-z]{1,6}(@[a-z]{1,5}\\.com)?", 0..30)) {
        let mut text = HEADINGS.to_owned();
        for field in &fields {
            text.extend(["N,", field, ",,,,P,,,Yes,\n"]);
        }
        let (rows, bad) = read(&text);
        prop_assert_eq!(rows.len() + bad.len(), fields.len());
    }
}
