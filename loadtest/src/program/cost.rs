//! What a process costs, read from `/proc` (Linux).

use anyhow::Context;
use std::time::Duration;

/// Ticks a second in `/proc/PID/stat`: 100 on every Linux (`USER_HZ`).
const TICKS: u64 = 100;

/// Processor time that a process has used, user and system, of all its threads. In steps of 10 ms.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    // The name, in parentheses, may hold anything: what follows it counts from the third field.
    let (_, fields) = text.rsplit_once(')').context("stat has no name")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap_or(0_u64)).sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// Memory that a process has in RAM, in bytes.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("status has no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::Instant;

    #[test]
    fn a_process_that_works_costs_time_and_memory() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let memory: Vec<u64> = (0..8_000_000).collect();
        assert!(resident_bytes(pid).unwrap() > 64_000_000);
        let begun = Instant::now();
        while cpu_time(pid).unwrap() < before + Duration::from_millis(50) {
            black_box(memory.iter().fold(0_u64, |sum, value| sum.wrapping_mul(31).wrapping_add(*value)));
            assert!(begun.elapsed() < Duration::from_secs(60), "a minute's work is not seen");
        }
    }
}
