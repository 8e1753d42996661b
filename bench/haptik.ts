/** A Haptik that costs next to nothing: it knows every user, logs every message, and says on GET how many came. */
import { createServer } from 'node:http';

const { HOST = '127.0.0.1', PORT } = process.env;
const created_at = '2026-01-01T00:00:00.000Z';
let count = 0;

createServer((request, response) => {
  response.setHeader('Content-Type', 'application/json');
  if (request.method === 'GET') {
    response.end(JSON.stringify({ count }));
    return;
  }
  request.resume().on('end', () => {
    count += 1;
    response.end(JSON.stringify({ message_id: count, message_body: 'logged', created_at, message_type: 0 }));
  });
}).listen(Number(PORT), HOST);
