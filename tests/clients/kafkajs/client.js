// kafkajs in the scenario of README.md.
'use strict'

const assert = require('node:assert')
const { execSync } = require('node:child_process')
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

const PARTITIONS = 3
const PER_BATCH = 12
const PATIENCE_MS = 20_000

const topic = `kafkajs.${process.pid}`
const group = 'kafkajs-readers'
const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP], clientId: 'scenario', logLevel: logLevel.NOTHING, retry: { retries: 12 } })
const admin = kafka.admin()
const log = Array.from({ length: PARTITIONS }, () => [])
const start = Date.now() - 3_600_000
let written = 0
let passed = 0
let failed = 0

async function step(name, action) {
  try {
    if (failed >= 3) throw new Error('not run after so many failures')
    await action()
    passed++
    console.log(`PASS ${name}`)
  } catch (e) {
    failed++
    console.log(`FAIL ${name}: ${String(e.message).replace(/\s+/g, ' ').slice(0, 600)}`)
    if (e.stack) console.log(e.stack)
  }
}

async function until(what, condition) {
  const end = Date.now() + PATIENCE_MS
  let last
  while (Date.now() < end) {
    try {
      if (await condition()) return
    } catch (e) {
      last = e
    }
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  throw new Error(`gave up waiting: ${what}${last ? ` (${last.message})` : ''}`)
}

async function registerCodecs() {
  CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: encoder => lz4.compressFrame(encoder.buffer),
    decompress: buffer => lz4.decompressFrame(buffer),
  })
  const zstd = await new Promise(resolve => ZstdCodec.run(z => resolve(new z.Simple())))
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
    decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
  })
}

// kafkajs gives headers as an object: doubled names are an array, and the order between names is not told.
function message(codec, acks, i) {
  const n = written++
  return {
    partition: n % PARTITIONS,
    key: i % 6 === 4 ? null : Buffer.from(`key-${n % 7}`),
    value: i % 6 === 5 ? null : i % 6 === 2 ? Buffer.alloc(0) : Buffer.from(`${codec} ${acks} ${i} ärger 日本 `.repeat(12)),
    headers: i % 4 === 3 ? {} : { trace: [Buffer.from('one'), Buffer.from('two')], batch: Buffer.from(`${codec} ${acks}`), empty: Buffer.alloc(0) },
    timestamp: String(start + n * 1000),
  }
}

async function produce(codec, acks) {
  const producer = kafka.producer({ idempotent: acks === -1, maxInFlightRequests: 1 })
  await producer.connect()
  const messages = Array.from({ length: PER_BATCH }, (_, i) => message(codec, acks, i))
  await producer.send({ topic, messages, acks, compression: CompressionTypes[codec] })
  messages.forEach(m => log[m.partition].push(m))
  const ends = log.map(l => l.length)
  // With acks=0 nobody says when the records are there.
  await until(`end offsets ${ends}`, async () => {
    const offsets = await admin.fetchTopicOffsets(topic)
    return offsets.every(o => Number(o.high) === ends[o.partition])
  })
  await producer.disconnect()
}

// Reads with a group until each partition in `ends` has been read up to there, and commits there. `starts`: offsets to
// go to first, for the steps that have nothing to do with groups: kafkajs has no assignment by hand.
async function read(groupId, ends, starts) {
  // A consumer that leaves first waits for its open fetch.
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200, retry: { retries: 12 } })
  const records = []
  const left = new Set(ends.keys())
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let crash
  // While the coordinator loads after a restart it starts itself again.
  consumer.on(consumer.events.CRASH, e => { if (!e.payload.restart) crash = e.payload.error })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message: m }) => {
      if (!ends.has(partition)) return
      const offset = Number(m.offset)
      if (offset < ends.get(partition)) records.push({ partition, ...m })
      if (offset + 1 >= ends.get(partition)) left.delete(partition)
    },
  })
  if (starts) starts.forEach((offset, partition) => consumer.seek({ topic, partition, offset: String(offset) }))
  await until('all records are read', () => {
    if (crash) throw crash
    return left.size === 0
  })
  await consumer.commitOffsets([...ends].map(([partition, end]) => ({ topic, partition, offset: String(end), metadata: `to ${end}` })))
  await consumer.disconnect()
  return records
}

function compare(got, starts, ends) {
  for (const [p, first] of starts) {
    const records = got.filter(r => r.partition === p)
    assert.deepStrictEqual(records.map(r => Number(r.offset)), range(first, ends.get(p)), `offsets of partition ${p}`)
    for (const r of records) {
      const { key, value, headers, timestamp } = log[p][Number(r.offset)]
      assert.deepStrictEqual(
        { key: r.key, value: r.value, headers: { ...r.headers }, timestamp: r.timestamp },
        { key, value, headers, timestamp }, `offset ${r.offset} of partition ${p}`)
    }
  }
}

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i)
const all = of => new Map(log.map((l, p) => [p, of(l.length)]))
const begin = () => all(() => 0)
const half = () => all(n => Math.floor(n / 2))
const end = () => all(n => n)

async function times() {
  const middle = Math.floor(log[1].length / 2)
  const at = Number(log[1][middle].timestamp)
  for (const [time, wanted] of [[at, middle], [at + 1, middle + 1], [start - 5000, 0], [start + written * 1000, log[1].length]]) {
    const found = (await admin.fetchTopicOffsetsByTimestamp(topic, time)).find(o => o.partition === 1)
    // kafkajs itself makes the end offset of "none".
    assert.strictEqual(Number(found.offset), wanted, `offset for the time ${time}`)
  }
  const one = new Map([[1, middle]])
  compare((await read('kafkajs-seek', new Map([[1, middle + 1]]), one)).slice(0, 1), one, new Map([[1, middle + 1]]))
}

async function deleteRecords() {
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 2, offset: '5' }] })
  const low = (await admin.fetchTopicOffsets(topic)).find(o => o.partition === 2).low
  assert.strictEqual(low, '5', 'first offset')
  compare(await read('kafkajs-rest', new Map([[2, 7]])), new Map([[2, 5]]), new Map([[2, 7]]))
}

async function main() {
  await registerCodecs()
  await admin.connect()
  await step('create', async () => {
    await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }] })
    await until('the topic has its partitions', async () =>
      (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === PARTITIONS)
  })
  for (const codec of ['None', 'GZIP', 'Snappy', 'LZ4', 'ZSTD']) {
    for (const acks of [1, -1, 0]) await step(`produce ${codec} acks=${acks}`, () => produce(codec, acks))
  }
  await step('read', async () => compare(await read('kafkajs-all', end()), begin(), end()))
  await step('group', async () => compare(await read(group, half()), begin(), half()))
  await step('restart', () => execSync(process.env.OTTLA_RESTART, { shell: '/bin/bash', stdio: 'inherit' }))
  await step('resume', async () => compare(await read(group, end()), half(), end()))
  await step('again', async () => compare(await read('kafkajs-again', end()), begin(), end()))
  await step('times', times)
  await step('groups', async () => {
    await until('the group is listed', async () => (await admin.listGroups()).groups.some(g => g.groupId === group))
    await until('the group is empty', async () => (await admin.describeGroups([group])).groups[0].state === 'Empty')
  })
  await step('delete_group', async () => {
    await admin.deleteGroups([group])
    await until('the group is gone', async () => !(await admin.listGroups()).groups.some(g => g.groupId === group))
  })
  await step('delete_records', deleteRecords)
  await step('delete_topic', async () => {
    await admin.deleteTopics({ topics: [topic] })
    await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
  })
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(failed ? 1 : 0)
}

main().catch(e => {
  console.log(`FAIL kafkajs: ${e.stack}`)
  process.exit(1)
})
