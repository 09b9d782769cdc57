import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BinaryNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;

import java.io.File;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.JarFile;
import java.util.zip.CRC32;
import java.util.zip.GZIPOutputStream;

/**
 * Writes frames of every message of Apache Kafka in every version, made by Kafka's own classes: the bytes, and the
 * values as Kafka's JSON converters print them. README.md beside this file describes the output.
 *
 * <p>Messages are found by their JSON converters in the jars of the class path, filled by reflection with what their
 * own SCHEMAS say a version has, and written by their own write(). The values depend only on the message, the path of
 * the field in it and the variant, so that every run gives the same output, and a field has the same value in all
 * versions.
 */
public class GoldenFrames {
    /** How a message is filled in. */
    enum Variant { DEFAULTS, FILLED, NULLS, LEAF_NULLS, EMPTY, LONG, UNKNOWN_TAGS }

    public static void main(String[] args) throws Exception {
        Path out = Path.of(args[0]);
        Files.createDirectories(out);
        int frames = 0;
        TreeMap<String, Class<?>> messages = findMessages();
        for (Map.Entry<String, Class<?>> message : messages.entrySet()) {
            StringBuilder lines = new StringBuilder();
            frames += frames(message.getKey(), message.getValue(), lines);
            Path file = out.resolve(message.getKey() + ".jsonl.gz");
            try (OutputStream gzip = new GZIPOutputStream(Files.newOutputStream(file)) {{ def.setLevel(9); }}) {
                gzip.write(lines.toString().getBytes(StandardCharsets.UTF_8));
            }
        }
        System.out.println(messages.size() + " messages, " + frames + " frames");
    }

    /** The message classes by their names in Kafka's schemas. */
    static TreeMap<String, Class<?>> findMessages() throws Exception {
        TreeMap<String, Class<?>> found = new TreeMap<>();
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (!path.endsWith(".jar") || !new File(path).getName().startsWith("kafka")) continue;
            try (JarFile jar = new JarFile(path)) {
                for (String entry : jar.stream().map(Object::toString).sorted().toList()) {
                    if (!entry.endsWith("JsonConverter.class") || entry.contains("$")) continue;
                    String name = entry.substring(0, entry.length() - "JsonConverter.class".length());
                    Class<?> type = Class.forName(name.replace('/', '.'));
                    String simple = type.getSimpleName().replaceAll("(?<=Request|Response|Header)Data$", "");
                    if (found.put(simple, type) != null) throw new IllegalStateException("two messages named " + simple);
                }
            }
        }
        return found;
    }

    static int frames(String name, Class<?> type, StringBuilder lines) throws Exception {
        int count = 0;
        ApiMessage empty = (ApiMessage) type.getConstructor().newInstance();
        var toJson = Class.forName(type.getName() + "JsonConverter").getMethod("write", type, short.class, boolean.class);
        for (short version = empty.lowestSupportedVersion(); version <= empty.highestSupportedVersion(); version++) {
            boolean flexible = new Filler(name, version, Variant.DEFAULTS).isFlexible(type);
            List<String> seen = new ArrayList<>();
            for (Variant variant : Variant.values()) {
                if (variant == Variant.UNKNOWN_TAGS && !flexible) continue;
                Message message = new Filler(name, version, variant).message(type);
                ByteBuffer bytes = encode(message, version);
                String base64 = Base64.getEncoder().encodeToString(array(bytes));
                // A message without arrays and nullable fields is the same in several variants.
                if (seen.contains(base64)) continue;
                seen.add(base64);
                JsonNode json = (JsonNode) toJson.invoke(null, message, version, true);
                putRecords(json, message);
                checkReadable(type, message, bytes.duplicate(), version, name + " v" + version + " " + variant);
                lines.append("{\"name\":\"").append(name).append("\",\"apiKey\":").append(apiKey(empty))
                    .append(",\"version\":").append(version).append(",\"flexible\":").append(flexible)
                    .append(",\"variant\":\"").append(variant.name().toLowerCase(Locale.ROOT))
                    .append("\",\"bytes\":\"").append(base64).append("\",\"json\":").append(json).append("}\n");
                count++;
            }
        }
        return count;
    }

    static String apiKey(ApiMessage message) {
        return message.apiKey() < 0 ? "null" : Short.toString(message.apiKey());
    }

    static ByteBuffer encode(Message message, short version) {
        ByteBufferAccessor accessor = MessageUtil.toByteBufferAccessor(message, version);
        ByteBuffer bytes = accessor.buffer();
        return bytes.position() == 0 ? bytes : bytes.flip();
    }

    static byte[] array(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return copy;
    }

    /** Kafka reads its own frame back to an equal message, so the frame is a fair demand. */
    static void checkReadable(Class<?> type, Message message, ByteBuffer bytes, short version, String what) throws Exception {
        Message back = (Message) type.getConstructor().newInstance();
        back.read(new ByteBufferAccessor(bytes), version);
        if (bytes.hasRemaining()) throw new IllegalStateException(what + ": bytes left over");
        if (!back.equals(message)) throw new IllegalStateException(what + ": " + message + " came back as " + back);
    }

    /** The converters print record sets as empty: puts their bytes in place. */
    static void putRecords(JsonNode json, Object message) throws Exception {
        for (Field field : message.getClass().getDeclaredFields()) {
            JsonNode node = json.get(field.getName());
            if (Modifier.isStatic(field.getModifiers()) || node == null || node.isNull()) continue;
            field.setAccessible(true);
            Object value = field.get(message);
            if (value instanceof MemoryRecords records) {
                ((ObjectNode) json).set(field.getName(), new BinaryNode(array(records.buffer())));
            } else if (value instanceof Message) {
                putRecords(node, value);
            } else if (value instanceof Collection<?> elements && node instanceof ArrayNode nodes) {
                int i = 0;
                for (Object element : elements) {
                    if (element instanceof Message) putRecords(nodes.get(i), element);
                    i++;
                }
            }
        }
    }

    /** Fills one message for one version and variant. */
    record Filler(String name, short version, Variant variant) {
        Message message(Class<?> type) throws Exception {
            return variant == Variant.DEFAULTS ? defaults(type) : struct(type, name);
        }

        private Message defaults(Class<?> type) throws Exception {
            return (Message) type.getConstructor().newInstance();
        }

        Schema schema(Class<?> struct) throws Exception {
            return ((Schema[]) struct.getField("SCHEMAS").get(null))[version];
        }

        boolean isFlexible(Class<?> struct) throws Exception {
            return Arrays.stream(schema(struct).fields()).anyMatch(f -> f.def.type instanceof TaggedFields);
        }

        /** The fields of the struct in this version, by their Java names in lower case. */
        private Map<String, Type> fields(Class<?> struct) throws Exception {
            Map<String, Type> fields = new LinkedHashMap<>();
            for (BoundField field : schema(struct).fields()) {
                if (field.def.type instanceof TaggedFields tagged) {
                    tagged.fields().values().forEach(f -> fields.put(key(f.name), f.type));
                } else {
                    fields.put(key(field.def.name), field.def.type);
                }
            }
            return fields;
        }

        private static String key(String name) {
            return name.replace("_", "").toLowerCase(Locale.ROOT);
        }

        private Message struct(Class<?> type, String path) throws Exception {
            Message message = defaults(type);
            Map<String, Field> javaFields = new HashMap<>();
            for (Field field : type.getDeclaredFields()) {
                if (!Modifier.isStatic(field.getModifiers())) javaFields.put(key(field.getName()), field);
            }
            for (Map.Entry<String, Type> entry : fields(type).entrySet()) {
                Field field = javaFields.get(entry.getKey());
                if (field == null) throw new IllegalStateException(type + " has no field for " + entry.getKey());
                field.setAccessible(true);
                field.set(message, value(field, entry.getValue(), field.get(message), path + "." + field.getName()));
            }
            if (variant == Variant.UNKNOWN_TAGS && isFlexible(type)) {
                message.unknownTaggedFields().add(new RawTaggedField(9000, ("unknown " + path).getBytes(StandardCharsets.UTF_8)));
                message.unknownTaggedFields().add(new RawTaggedField(9001, new byte[0]));
            }
            return message;
        }

        private Object value(Field field, Type type, Object preset, String path) throws Exception {
            Class<?> java = field.getType();
            boolean isStruct = Message.class.isAssignableFrom(java);
            if (Collection.class.isAssignableFrom(java)) return array(field, type, path);
            if (type.isNullable()) {
                if (variant == Variant.NULLS || variant == Variant.LEAF_NULLS && !isStruct) return null;
            }
            if (isStruct) return struct(java, path);
            if (preset instanceof Boolean bool) return !bool;
            for (int salt = 0; ; salt++) {
                Object value = scalar(java, type, salt == 0 ? path : path + salt);
                if (!same(value, preset)) return value;
            }
        }

        private Object array(Field field, Type type, String path) throws Exception {
            boolean ofStructs = type.arrayElementType().get() instanceof Schema;
            boolean empty = variant == Variant.NULLS || variant == Variant.EMPTY || variant == Variant.LEAF_NULLS && !ofStructs;
            if (empty && type.isNullable() && variant != Variant.EMPTY) return null;
            // Past 127 elements a compact array's length takes two bytes; with structs the frames would be huge.
            int size = empty ? 0 : variant == Variant.LEAF_NULLS ? 1 : variant == Variant.LONG ? (ofStructs ? 1 : 130) : 2;
            boolean isList = field.getType() == List.class;
            var generic = (ParameterizedType) (isList ? field.getGenericType() : field.getType().getGenericSuperclass());
            Class<?> element = (Class<?>) generic.getActualTypeArguments()[0];
            @SuppressWarnings("unchecked")
            Collection<Object> values = isList
                ? new ArrayList<>() : (Collection<Object>) field.getType().getConstructor().newInstance();
            for (int i = 0; i < size; i++) {
                String at = path + "[" + i + "]";
                values.add(ofStructs ? struct(element, at) : scalar(element, type.arrayElementType().get(), at));
            }
            return values;
        }

        private static boolean same(Object a, Object b) {
            return a instanceof byte[] bytes ? b instanceof byte[] && Arrays.equals(bytes, (byte[]) b) : a.equals(b);
        }

        private Object scalar(Class<?> java, Type type, String path) {
            CRC32 crc = new CRC32();
            crc.update((variant == Variant.LONG ? "long " : "").concat(path).getBytes(StandardCharsets.UTF_8));
            long seed = crc.getValue();
            if (type.toString().equals("UINT16")) return pick(seed, 1, 127, 128, 9092, 32768, 65535);
            if (type.toString().equals("UINT32")) return (long) pick(seed, 1L, 128L, 65536L, 2147483648L, 4294967295L);
            if (java == boolean.class || java == Boolean.class) return true;
            if (java == byte.class || java == Byte.class) return (byte) (int) pick(seed, 1, 2, 3, 100, 127, -1, -128);
            if (java == short.class || java == Short.class) return (short) (int) pick(seed, 1, 2, 127, 128, 300, 32767, -1, -32768);
            if (java == int.class || java == Integer.class) {
                return pick(seed, 1, 2, 63, 64, 127, 128, 300, 65536, 16777216, 2147483647, -1, -2, -2147483648);
            }
            if (java == long.class || java == Long.class) {
                return pick(seed, 1L, 127L, 128L, 70000L, 1700000000123L, 9007199254740993L, Long.MAX_VALUE, -1L, -2L, Long.MIN_VALUE);
            }
            if (java == double.class) return pick(seed, 0.5, -1.25, 1e100, 4.9e-324, -0.1);
            if (java == Uuid.class) return new Uuid(seed * 0x9E3779B97F4A7C15L, seed * 0xC2B2AE3D27D4EB4FL);
            if (java == String.class) return text(seed);
            if (java == byte[].class) return bytes(seed);
            if (java == ByteBuffer.class) return ByteBuffer.wrap(bytes(seed));
            if (BaseRecords.class.isAssignableFrom(java)) return records(seed);
            throw new IllegalStateException(path + ": no value for " + java);
        }

        @SafeVarargs
        private static <T> T pick(long seed, T... values) {
            return values[(int) (seed % values.length)];
        }

        /** Differs from field to field, so that map keys differ and no two fields can be swapped unseen. */
        private String text(long seed) {
            String text = Long.toString(seed, 36) + pick(seed, "", "-x", ".Ünï", " 日本", "🦦");
            return variant == Variant.LONG ? text + "y".repeat(130) : text;
        }

        private byte[] bytes(long seed) {
            byte[] bytes = new byte[variant == Variant.LONG ? 200 : 1 + (int) (seed % 6)];
            for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) (seed >> (i % 4 * 8));
            return bytes;
        }

        private static MemoryRecords records(long seed) {
            Header[] headers = {new RecordHeader("h", new byte[] {1}), new RecordHeader("h", null)};
            return MemoryRecords.withRecords(seed % 1000, Compression.NONE, 7,
                new SimpleRecord(1700000000000L + seed % 1000, "k".getBytes(StandardCharsets.UTF_8), "v".getBytes(StandardCharsets.UTF_8), headers),
                new SimpleRecord(1700000000001L + seed % 1000, (byte[]) null, null));
        }
    }
}
