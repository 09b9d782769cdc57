//! What Apache Kafka's performance tools print.

use anyhow::{Context, ensure};

/// What EndToEndLatency tells, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyMs {
    /// Of all.
    pub mean: f64,
    /// In whole milliseconds.
    pub p99: f64,
    /// In whole milliseconds.
    pub p999: f64,
}

/// The rate of ConsumerPerformance while it fetches (`fetch.MB.sec`, mebibytes), in MB/s.
///
/// # Errors
/// It has read fewer records, or prints something else.
pub fn consumed_mb_per_s(output: &str, records: i64) -> anyhow::Result<f64> {
    // start, end, data in MiB, MiB/s, records, records/s, rebalance ms, fetch ms, fetch MiB/s, fetch records/s
    let line = output.lines().rev().find(|line| line.split(',').count() == 10);
    let fields: Vec<&str> = line
        .with_context(|| format!("ConsumerPerformance prints no figures: {output}"))?
        .split(',')
        .map(str::trim)
        .collect();
    let read: i64 = fields[4].parse()?;
    ensure!(
        read >= records,
        "ConsumerPerformance has read {read} of {records} records"
    );
    let mebibytes: f64 = fields[8].parse()?;
    Ok(mebibytes * 1.048_576)
}

/// The latencies of EndToEndLatency.
///
/// # Errors
/// It prints something else.
pub fn latency_ms(output: &str) -> anyhow::Result<LatencyMs> {
    let after = |mark: &str| -> anyhow::Result<f64> {
        let (_, rest) = output
            .split_once(mark)
            .with_context(|| format!("EndToEndLatency prints no `{mark}`: {output}"))?;
        let rest = rest.trim_start();
        let end = rest
            .find(|char: char| !char.is_ascii_digit() && char != '.')
            .unwrap_or(rest.len());
        Ok(rest[..end].parse()?)
    };
    Ok(LatencyMs {
        mean: after("Avg latency:")?,
        p99: after("99th =")?,
        p999: after("99.9th =")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_fetching_and_too_few_records_are_an_error() {
        let line = "2026-01-01 00:00:00:000, 2026-01-01 00:00:04:000, 488.2813, 122.0703, 500000, 125000.0, 3000, 1000, 488.2813, 500000.0\n";
        let rate = consumed_mb_per_s(line, 500_000).expect("as it prints");
        assert!((rate - 512.0).abs() < 0.01, "{rate}");
        assert!(consumed_mb_per_s(line, 500_001).is_err());
        assert!(consumed_mb_per_s("Exiting before consuming\n", 1).is_err());
    }

    #[test]
    fn latencies_are_found_and_their_lack_is_an_error() {
        let output = "0\t12.5\nAvg latency: 0.5432 ms\nPercentiles: 50th = 0, 99th = 2, 99.9th = 7\n";
        assert_eq!(
            latency_ms(output).expect("as it prints"),
            LatencyMs {
                mean: 0.5432,
                p99: 2.0,
                p999: 7.0
            }
        );
        assert!(latency_ms("Avg latency: 1.0 ms\n").is_err());
    }
}
