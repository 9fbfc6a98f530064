// MQTT.js as a process that a test drives: one JSON object per line on stdin says what to do, one per
// line on stdout says how it went; messages that arrive are lines of their own, as they come.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const mqtt = require(path.join(__dirname, '../../third_party/node_modules/mqtt'));

let client = null;
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');

function propertiesOf(packet) {
  const from = packet.properties || {};
  const out = {};
  if (from.contentType !== undefined) out.content_type = from.contentType;
  if (from.responseTopic !== undefined) out.response_topic = from.responseTopic;
  if (from.correlationData !== undefined) out.correlation_data = from.correlationData.toString('base64');
  if (from.messageExpiryInterval !== undefined) out.message_expiry = from.messageExpiryInterval;
  if (from.payloadFormatIndicator !== undefined) out.payload_format = from.payloadFormatIndicator ? 1 : 0;
  if (from.subscriptionIdentifier !== undefined) out.subscription_id = [].concat(from.subscriptionIdentifier);
  out.user = [];
  for (const [name, values] of Object.entries(from.userProperties || {}))
    for (const value of [].concat(values)) out.user.push([name, value]);
  return out;
}

function propertiesFor(from) {
  const out = {};
  if (from.content_type !== undefined) out.contentType = from.content_type;
  if (from.response_topic !== undefined) out.responseTopic = from.response_topic;
  if (from.correlation_data !== undefined) out.correlationData = Buffer.from(from.correlation_data, 'base64');
  if (from.message_expiry !== undefined) out.messageExpiryInterval = from.message_expiry;
  if (from.payload_format !== undefined) out.payloadFormatIndicator = from.payload_format === 1;
  if (from.user !== undefined) {
    out.userProperties = {};
    for (const [name, value] of from.user) (out.userProperties[name] ??= []).push(value);
  }
  return out;
}

const operations = {
  connect({port, version, clientId, clean, will, transport, ca}) {
    client = mqtt.connect({
      host: '127.0.0.1', port, protocol: {tcp: 'mqtt', tls: 'mqtts'}[transport] || transport, path: '/mqtt',
      ca: ca ? fs.readFileSync(ca) : undefined, protocolVersion: version, clean, clientId: clientId || undefined,
      reconnectPeriod: 0, connectTimeout: 20000, will: will || undefined,
      properties: version === 5 ? {sessionExpiryInterval: clean ? 0 : 3600} : undefined,
    });
    client.on('message', (topic, payload, packet) => say({message: {
      topic, payload: payload.toString('base64'), qos: packet.qos, retain: packet.retain,
      properties: propertiesOf(packet)}}));
    let answered = false;
    const once = (value) => { if (!answered) { answered = true; say(value); } };
    client.on('connect', (packet) => once({sessionPresent: packet.sessionPresent}));
    client.on('error', (error) => once({error: String(error)}));
    client.on('close', () => once({error: 'the connection was closed'}));
  },
  subscribe({filter, qos, subscriptionId}) {
    const options = {qos};
    if (subscriptionId !== null && subscriptionId !== undefined)
      options.properties = {subscriptionIdentifier: subscriptionId};
    client.subscribe(filter, options, (error, granted) =>
      say(error ? {error: String(error)} : {granted: granted[0].qos}));
  },
  publish({topic, payload, qos, retain, properties}) {
    const options = {qos, retain};
    if (Object.keys(properties).length > 0) options.properties = propertiesFor(properties);
    client.publish(topic, Buffer.from(payload, 'base64'), options, (error) =>
      say(error ? {error: String(error)} : {published: true}));
  },
  disconnect() { client.end(false, {}, () => say({ended: true})); },
  drop() {
    client.stream.destroy();
    client.end(true, {}, () => say({ended: true}));
  },
};

readline.createInterface({input: process.stdin}).on('line', (line) => {
  const {op, ...rest} = JSON.parse(line);
  try {
    operations[op](rest);
  } catch (error) {
    say({error: String(error.stack)});
  }
});
