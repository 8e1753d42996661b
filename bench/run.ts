import { availableParallelism } from 'node:os';
import { measureBacklog } from './backlog.ts';
import { measureClaims } from './claims.ts';
import { compareAccept, compareEndToEnd } from './compare.ts';
import { measureIdle } from './idle.ts';
import { measureIsolation } from './isolation.ts';
import { profileBridge, profileOnPostgres } from './profile.ts';
import { measureReplicas } from './replicas.ts';
import { measureRouting } from './routing.ts';
import { measureStart } from './start.ts';

const PARTS: Readonly<Record<string, () => Promise<void>>> = {
  accept: compareAccept,
  'end-to-end': compareEndToEnd,
  profile: profileBridge,
  start: measureStart,
  isolation: measureIsolation,
  backlog: measureBacklog,
  'profile-postgres': profileOnPostgres,
  replicas: measureReplicas,
  claims: measureClaims,
  idle: measureIdle,
  routing: measureRouting,
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS);
const unknown = names.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0) {
  console.error(
    `There is no ${unknown.join(', ')}; accepted are ${Object.keys(PARTS).join(', ')}, or nothing for all.`,
  );
  process.exit(1);
}
console.log(`${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores`);
for (const name of names) await PARTS[name]?.();
