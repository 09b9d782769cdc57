import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueStore;

import java.util.Map;
import java.util.Properties;

/**
 * The application: orders of customers, whose regions another topic knows, are counted and added up by region. It
 * repartitions twice, joins once, and tells each total, with the number of orders in it.
 *
 * <p>Arguments: the folder of its state. Ends with 1 if it fails.
 */
public final class Totals {
    static final String APPLICATION = "totals-of-regions";
    /** Order number -> customer and amount. */
    static final String ORDERS = "orders";
    /** Customer -> region. */
    static final String CUSTOMERS = "customers";
    /** Region -> orders so far and their sum. */
    static final String TOTALS = "totals";

    private Totals() { }

    public static void main(String[] args) {
        Properties settings = new Properties();
        settings.putAll(Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"), "application.id", APPLICATION, "group.protocol", "classic",
            "processing.guarantee", "exactly_once_v2", "state.dir", args[0], "num.stream.threads", 2, "commit.interval.ms", 100,
            // Each order gives a total of its own.
            "statestore.cache.max.bytes", 0,
            "default.key.serde", Serdes.StringSerde.class.getName(), "default.value.serde", Serdes.StringSerde.class.getName()));
        settings.put("consumer.session.timeout.ms", 6_000);
        settings.put("consumer.auto.offset.reset", "earliest");
        KafkaStreams streams = new KafkaStreams(topology(), settings);
        streams.setUncaughtExceptionHandler(failure -> {
            failure.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        KTable<String, String> regions = builder.table(CUSTOMERS);
        builder.<String, String>stream(ORDERS)
            .map((number, order) -> KeyValue.pair(order.split(" ")[0], order.split(" ")[1]))
            .join(regions, (amount, region) -> region + " " + amount)
            .map((customer, order) -> KeyValue.pair(order.split(" ")[0], order.split(" ")[1]))
            .groupByKey()
            .aggregate(() -> "0 0", (region, amount, total) -> added(total, Long.parseLong(amount)),
                Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("totals-by-region"))
            .toStream().to(TOTALS);
        return builder.build();
    }

    private static String added(String total, long amount) {
        String[] words = total.split(" ");
        return (Long.parseLong(words[0]) + 1) + " " + (Long.parseLong(words[1]) + amount);
    }
}
