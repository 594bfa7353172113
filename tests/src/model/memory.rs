//! How much memory a check took.

use std::fs;

/// The most that this process held since [`forget_peak`], in MiB; 0 where the system does not tell.
pub fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).map_or(0, |kib| kib / 1_024)
}

/// Measures anew from what is held now. Where the system refuses, the peak is that of all checks so far.
pub fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}
