import org.apache.kafka.common.utils.internals.Exit;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Runs a script of Apache Kafka's command line tools in one JVM and compares what they print with what the script says.
 * README.md in tests/clients tells the script's notation. `--write` puts what was printed into the script instead.
 */
public class ToolScript {
    static final Map<String, String> TOOLS = Map.ofEntries(
        Map.entry("client-compatibility-test", "ClientCompatibilityTest"),
        Map.entry("kafka-broker-api-versions", "BrokerApiVersionsCommand"),
        Map.entry("kafka-cluster", "ClusterTool"),
        Map.entry("kafka-configs", "ConfigCommand"),
        Map.entry("kafka-console-consumer", "consumer.ConsoleConsumer"),
        Map.entry("kafka-console-producer", "ConsoleProducer"),
        Map.entry("kafka-consumer-groups", "consumer.group.ConsumerGroupCommand"),
        Map.entry("kafka-delete-records", "DeleteRecordsCommand"),
        Map.entry("kafka-features", "FeatureCommand"),
        Map.entry("kafka-get-offsets", "GetOffsetShell"),
        Map.entry("kafka-groups", "GroupsCommand"),
        Map.entry("kafka-leader-election", "LeaderElectionCommand"),
        Map.entry("kafka-log-dirs", "LogDirsCommand"),
        Map.entry("kafka-metadata-quorum", "MetadataQuorumCommand"),
        Map.entry("kafka-topics", "TopicCommand"));

    static final Pattern PROMPT = Pattern.compile("^\\$([~<#%]*) (.*)$");
    static final long PATIENCE_MS = 15_000;

    final String bootstrap = System.getenv("BOOTSTRAP");
    final PrintStream console = System.out;
    /** What kafka-broker-api-versions printed: the script may ask for an API in it. */
    String served = "";

    /** One command of the script with what it reads and what it should print. */
    static class Step {
        final List<String> before = new ArrayList<>();
        String flags;
        String command;
        final List<String> input = new ArrayList<>();
        final List<String> ignored = new ArrayList<>();
        final List<String> expected = new ArrayList<>();
    }

    static class Exited extends RuntimeException {
        final int code;

        Exited(int code) {
            this.code = code;
        }
    }

    public static void main(String[] args) throws Exception {
        boolean write = args[0].equals("--write");
        System.exit(new ToolScript().run(Path.of(args[write ? 1 : 0]), write) ? 0 : 1);
    }

    boolean run(Path script, boolean write) throws Exception {
        // Binds the logging to the real standard error, which is not captured below.
        org.slf4j.LoggerFactory.getLogger(ToolScript.class);
        Exit.setShutdownHookAdder((name, hook) -> { });
        int passed = 0;
        int failed = 0;
        List<String> rewritten = new ArrayList<>();
        for (Step step : parse(Files.readAllLines(script))) {
            rewritten.addAll(step.before);
            if (step.command == null) continue;
            List<String> printed = attempt(step, write);
            rewritten.add("$" + step.flags + " " + step.command);
            step.input.forEach(line -> rewritten.add("< " + line));
            step.ignored.forEach(line -> rewritten.add("! " + line));
            rewritten.addAll(printed);
            String why = difference(step, printed);
            if (why == null || write) {
                passed++;
                console.println("PASS " + step.command);
            } else {
                failed++;
                console.println("FAIL " + step.command + ": " + why);
                console.println("  expected:");
                step.expected.forEach(line -> console.println("    " + line));
                console.println("  printed:");
                printed.forEach(line -> console.println("    " + line));
            }
        }
        if (write) Files.write(script, rewritten);
        console.println(passed + " passed, " + failed + " failed");
        return failed == 0;
    }

    static List<Step> parse(List<String> lines) {
        List<Step> steps = new ArrayList<>();
        Step step = new Step();
        for (String line : lines) {
            Matcher prompt = PROMPT.matcher(line);
            boolean isComment = line.isEmpty() || line.startsWith("# ");
            if (prompt.matches() || isComment) {
                if (step.command != null) {
                    steps.add(step);
                    step = new Step();
                }
                if (isComment) {
                    step.before.add(line);
                } else {
                    step.flags = prompt.group(1);
                    step.command = prompt.group(2);
                }
            } else if (line.startsWith("< ")) {
                step.input.add(line.substring(2));
            } else if (line.startsWith("! ")) {
                step.ignored.add(line.substring(2));
            } else {
                step.expected.add(line);
            }
        }
        steps.add(step);
        return steps;
    }

    /** Runs the command, with the flag ~ again and again until it prints what is expected. */
    List<String> attempt(Step step, boolean write) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (true) {
            List<String> printed = normal(execute(step), step);
            boolean isLast = !step.flags.contains("~") || System.currentTimeMillis() > end;
            if (isLast || !write && difference(step, printed) == null) return printed;
            Thread.sleep(write ? 2000 : 100);
            if (write) return normal(execute(step), step);
        }
    }

    /** Null if the lines are as expected; with the flag < each printed line must be among the expected ones. */
    static String difference(Step step, List<String> printed) {
        if (!step.flags.contains("<")) {
            return printed.equals(step.expected) ? null : "other output";
        }
        List<String> extra = new ArrayList<>(printed);
        extra.removeAll(step.expected);
        if (printed.isEmpty()) return "no output";
        return extra.isEmpty() ? null : "not in the expected output: " + extra.get(0);
    }

    String execute(Step step) throws Exception {
        List<String> words = words(step.command);
        if (words.get(0).equals("restart")) return restart();
        String type = TOOLS.get(words.get(0));
        if (type == null) throw new IllegalArgumentException("unknown tool in: " + step.command);
        String stdin = String.join("\n", step.input) + "\n";
        Path file = Files.writeString(Path.of(System.getenv("WORK"), "input"), stdin);
        List<String> args = new ArrayList<>(words.subList(1, words.size()));
        args.replaceAll(word -> word.equals("INPUT") ? file.toString() : word.startsWith("SERVED:")
            ? Boolean.toString(served.contains(word.substring(7) + "(")) : word);
        // Sub-commands (describe, cluster-id) and options go in any order, but not for every tool.
        args.addAll(words.get(0).equals("kafka-cluster") ? args.size() : 0, List.of("--bootstrap-server", bootstrap));
        String printed = capture(Class.forName("org.apache.kafka.tools." + type), args.toArray(new String[0]), stdin);
        if (words.get(0).equals("kafka-broker-api-versions")) served = printed;
        return printed;
    }

    String restart() throws Exception {
        Process process = new ProcessBuilder("bash", "-c", System.getenv("OTTLA_RESTART")).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return process.waitFor() == 0 ? "" : output + "exit code " + process.exitValue();
    }

    String capture(Class<?> tool, String[] args, String stdin) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
        PrintStream err = System.err;
        java.io.InputStream in = System.in;
        int[] code = {-1};
        Exit.Procedure exit = (status, message) -> {
            if (code[0] < 0) code[0] = status;
            if (message != null) out.println(message);
            // The tool would have ended here: what it makes of the exception below is not its output.
            System.setOut(new PrintStream(java.io.OutputStream.nullOutputStream()));
            System.setErr(System.out);
            throw new Exited(status);
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        System.setOut(out);
        System.setErr(out);
        System.setIn(new ByteArrayInputStream(stdin.getBytes(StandardCharsets.UTF_8)));
        try {
            tool.getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Exited)) e.getCause().printStackTrace(out);
        } finally {
            System.setOut(console);
            System.setErr(err);
            System.setIn(in);
        }
        if (code[0] > 0) out.println("exit code " + code[0]);
        return bytes.toString(StandardCharsets.UTF_8);
    }

    /** What differs from run to run gets a name; spaces depend on the widths of such columns. */
    List<String> normal(String printed, Step step) {
        String port = bootstrap.substring(bootstrap.lastIndexOf(':') + 1);
        String text = printed.replace(bootstrap, "<broker>").replaceAll("\\b" + port + "\\b", "<port>")
            .replaceAll("/[^ \",:]*/broker/data\\b", "<data>")
            .replaceAll("\\bconsole-consumer-[0-9]+\\b", "console-consumer-<n>")
            .replaceAll("(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{22}(?![A-Za-z0-9_(-])", "<id>")
            .replaceAll("\\b1[6-9][0-9]{11}\\b", "<ms>")
            .replaceAll("Epoch: [0-9]+", "Epoch: <n>")
            .replaceAll("\"endpoints\": \\[[^]]*\\]", "\"endpoints\": [<endpoints>]")
            .replaceAll("\\[[0-9]{4}-[0-9-]+ [0-9:,]+\\]", "[<time>]");
        if (step.flags.contains("#")) text = text.replaceAll("\\b[0-9]+\\b", "<n>");
        Stream<String> lines = Arrays.stream(text.split("\n")).map(line -> line.replaceAll("\\s+", " ").strip())
            .filter(line -> !line.isEmpty() && !line.startsWith("at "))
            .filter(line -> step.ignored.stream().noneMatch(pattern -> Pattern.compile(pattern).matcher(line).find()));
        return (step.flags.contains("%") ? lines.sorted() : lines).toList();
    }

    /** Words as a shell makes them, with single and double quotes. */
    static List<String> words(String command) {
        List<String> words = new ArrayList<>();
        Matcher word = Pattern.compile("'([^']*)'|\"([^\"]*)\"|(\\S+)").matcher(command);
        while (word.find()) {
            words.add(word.group(1) != null ? word.group(1) : word.group(2) != null ? word.group(2) : word.group(3));
        }
        return words;
    }
}
