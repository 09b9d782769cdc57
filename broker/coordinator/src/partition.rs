//! Which partition of `__consumer_offsets` holds a group.

/// The partition of `__consumer_offsets`, which has `partitions`, that coordinates `group_id`.
///
/// Kafka's rule, so that a data directory can move between Apache Kafka and Ottla: Java's hash of the UTF-16 units,
/// its absolute value (0 for the smallest integer), modulo the count.
pub fn partition_for(group_id: &str, partitions: i32) -> i32 {
    let hash = group_id
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn groups_are_spread_as_java_hashes_their_names() {
        // Utils.abs(id.hashCode()) % 50, asked of a JVM.
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("console-consumer-1", 50), 24);
        assert_eq!(partition_for("größe", 50), 7);
        assert_eq!(partition_for("grüppe-🎉", 50), 2);
        // The hash of this text is Integer.MIN_VALUE.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
    }
}
