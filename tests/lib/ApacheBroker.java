import org.apache.kafka.common.Uuid;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** Runs Apache Kafka on a server.properties: formats the storage if that was not done, then starts the node. */
public final class ApacheBroker {
    private ApacheBroker() { }

    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        try (var reader = Files.newBufferedReader(Path.of(args[0]))) {
            config.load(reader);
        }
        if (!Files.exists(Path.of(config.getProperty("log.dirs"), "meta.properties"))) {
            String[] format = {"format", "--standalone", "--config", args[0], "--cluster-id", Uuid.randomUuid().toString()};
            int code = kafka.tools.StorageTool.execute(format, System.out);
            if (code != 0) System.exit(code);
        }
        kafka.Kafka.main(new String[] {args[0]});
    }
}
