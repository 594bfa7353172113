//! What deploy/prepare.sh makes, made once for all tests of this file.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::top;

/// Where a process of the images finds its own folder.
pub const SEEN_AS: &str = "/run/homeward";

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(top().join("deploy/prepare.sh")).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "prepare.sh: {}", String::from_utf8_lossy(&output.stderr));
    folder
});

/// The folder of one role.
pub fn of(role: &str) -> PathBuf {
    FOLDER.path().join(role)
}

/// `text` with the paths that a process in its container sees turned into those of `role`'s folder here.
pub fn here(text: &str, role: &str) -> String {
    text.replace(SEEN_AS, &of(role).display().to_string())
}

/// Findings about files below [`SEEN_AS`] that `text` names and that `role` does not get.
pub fn missing(text: &str, role: &str) -> Option<String> {
    let file = text.split_once(SEEN_AS)?.1.trim_start_matches('/').split(['"', '&', ' ']).next()?;
    let there = of(role).join(file).exists();
    (!file.is_empty() && !there).then(|| format!("{role} names {SEEN_AS}/{file}, which deploy/prepare.sh does not make for it"))
}

#[test]
fn preparing_again_keeps_everything_and_nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let prepare = || {
        let status =
            Command::new(top().join("deploy/prepare.sh")).arg(folder.path()).stdout(std::process::Stdio::null()).status();
        assert!(status.unwrap().success());
        let mut files = Vec::new();
        gather(folder.path(), &mut files);
        files.into_iter().map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect::<Vec<_>>()
    };
    let first = prepare();
    assert!(first.len() > 50, "{}", first.len());
    assert_eq!(first, prepare());
    for (file, _) in first {
        let rights = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(rights & 0o077, 0, "{} has {rights:o}", file.display());
    }
}

fn gather(folder: &std::path::Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { gather(&path, files) } else { files.push(path) }
    }
}
