// node-postgres as a process that a test drives: one JSON object per line on stdin is a query {sql, values, name}, one
// per line on stdout is what came of it.
'use strict';
const path = require('node:path');
const readline = require('node:readline');
const { Client } = require(path.join(__dirname, '../../third_party/node_modules/pg'));

const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');

async function main() {
  const client = new Client({ connectionString: process.argv[2], ssl: false });
  client.on('error', () => {});
  await client.connect();
  say({ connected: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { sql, values, name } = JSON.parse(line);
    try {
      const result = await client.query({ text: sql, values, name, rowMode: 'array' });
      const one = Array.isArray(result) ? result[result.length - 1] : result;
      say({ rows: one.rows, tag: one.command, count: one.rowCount, oids: one.fields.map((f) => f.dataTypeID) });
    } catch (error) {
      say({ code: error.code, message: error.message, position: error.position, where: error.where });
    }
  }
  await client.end();
}

main().catch((error) => { say({ code: error.code, message: error.message }); process.exit(1); });
