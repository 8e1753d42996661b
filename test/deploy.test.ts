import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { Metrics } from '../src/metrics.ts';
import { DEFAULTS, readSettings } from '../src/settings.ts';
import { CHAT, startTestBridge } from './support/bridge.ts';
import { ROOT } from './support/process.ts';
import { parseRouting } from './support/routing.ts';

const DEPLOY = join(ROOT, 'deploy');
const read = (name: string) => readFileSync(join(DEPLOY, name), 'utf8');
/** What is configuration there; comments may say what they like. */
const uncommented = (name: string) => read(name).replace(/(^|\s)#.*$/gm, '');
const seconds = (text: string) => Number(/^(\d+)s$/.exec(text)?.[1]);

type Environment = Record<string, string>;

interface Compose {
  readonly services: Record<
    string,
    {
      readonly build?: object;
      readonly image?: string;
      readonly command?: readonly string[];
      readonly environment?: Environment;
      readonly ports?: readonly string[];
      readonly volumes?: readonly string[];
      readonly healthcheck?: { readonly test: readonly string[] };
      readonly stop_grace_period?: string;
      readonly depends_on?: readonly string[] | Readonly<Record<string, { readonly condition: string }>>;
    }
  >;
  readonly volumes: Record<string, unknown>;
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Container {
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly securityContext: object;
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Record<string, string> };
  readonly stringData?: Environment;
  /** Each kind has its own. */
  readonly spec: unknown;
}

interface Deployment {
  readonly selector: { readonly matchLabels: Record<string, string> };
  readonly strategy: { readonly rollingUpdate: { readonly maxUnavailable: number } };
  readonly template: {
    readonly metadata: { readonly labels: Record<string, string> };
    readonly spec: {
      readonly terminationGracePeriodSeconds: number;
      readonly securityContext: object;
      readonly containers: readonly [Container];
      readonly volumes: readonly { readonly name: string }[];
    };
  };
}

const compose = parse(read('compose.yaml'), { merge: true }) as Compose;
const manifests = readdirSync(join(DEPLOY, 'kubernetes'))
  .filter((name) => !['kustomization.yaml', 'routing.yaml', 'monitoring'].includes(name))
  .flatMap((name) => parseAllDocuments(read(`kubernetes/${name}`)).map((document) => document.toJS() as Manifest));

function manifest<T>(kind: string, name = 'haptik-bridge'): Manifest & { readonly spec: T } {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found as Manifest & { readonly spec: T };
}

/** What the bridge itself reads: any other name in its environment would be a slip of the pen. */
function unknownNames(environment: Environment, routing: string): readonly string[] {
  const referred = [...routing.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name);
  const known = new Set([...Object.keys(DEFAULTS), 'ADMIN_TOKEN', ...referred]);
  return Object.keys(environment).filter((name) => !known.has(name));
}

function settingsOf(environment: Environment) {
  const settings = readSettings(environment);
  expect(settings.database.kind).toBe('postgres');
  return settings;
}

const adapter = parse(read('kubernetes/monitoring/prometheus-adapter.yaml')) as {
  readonly rules: {
    readonly external: readonly { readonly name: { readonly as: string }; readonly metricsQuery: string }[];
  };
};
const bridge = compose.services.bridge;
const composed = bridge?.environment ?? {};
const routingFile = read('kubernetes/routing.yaml');
const pod = manifest<Deployment>('Deployment').spec.template.spec;
const [container] = pod.containers;
const written = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
const secrets = manifest('Secret').stringData ?? {};
const filled: Environment = {
  DATABASE_URL: 'postgres://u:p@h/d',
  ADMIN_TOKEN: '0123456789abcdef',
  HAPTIK_BASE_URL: 'https://h.example',
  HAPTIK_CLIENT_ID: 'c',
  HAPTIK_TOKEN: 't',
  CHAT_KEY: 'k',
};

describe('compose.yaml', () => {
  test('starts two replicas of one bridge, of which each setting is known and understood', () => {
    expect(bridge).toMatchObject({ build: { context: '..' }, deploy: { replicas: 2 } });
    expect(unknownNames(composed, read('routing.yaml'))).toEqual([]);
    const settings = settingsOf(composed);
    expect(settings.shutdownDelayMs).toBeGreaterThanOrEqual(5_000);
    const stop = (settings.shutdownDelayMs + settings.shutdownGraceMs) / 1_000;
    expect(seconds(bridge?.stop_grace_period ?? '')).toBeGreaterThan(stop);
    expect(bridge?.healthcheck?.test.join(' ')).toContain(`:${settings.port}/readyz`);
  });

  test('names one database, and who has access to it, alike on both sides', () => {
    const url = new URL(composed.DATABASE_URL ?? '');
    expect(compose.services[url.hostname]?.environment).toEqual({
      POSTGRES_USER: url.username,
      POSTGRES_PASSWORD: url.password,
      POSTGRES_DB: url.pathname.slice(1),
    });
  });

  test('has a routing file that leads to the simulator, with the credentials that it knows', () => {
    const { accounts, channels } = parseRouting(read('routing.yaml'), 'routing.yaml', composed);
    expect([...channels.keys()]).toContain('chat');
    const [file, inside] = bridge?.volumes?.[0]?.split(':') ?? [];
    expect([file, inside]).toEqual(['./routing.yaml', '/config/routing.yaml']);
    expect(read('../Dockerfile')).toContain(`ROUTING_FILE=${inside}`);
    expect(accounts.size).toBe(1);
    const [, base = ''] = /base_url: (\S+)/.exec(read('routing.yaml')) ?? [];
    const { hostname, port } = new URL(base);
    expect(compose.services[hostname]?.command?.slice(-2)).toEqual(['--port', port]);
    expect(composed).toMatchObject({ HAPTIK_CLIENT_ID: 'demo-client', HAPTIK_TOKEN: 'demo-token' });
  });

  test('waits for services that say how they are, and is reached from this machine alone', () => {
    for (const { depends_on = {}, ports = [] } of Object.values(compose.services)) {
      for (const [name, { condition }] of Array.isArray(depends_on) ? [] : Object.entries(depends_on)) {
        expect(condition).toBe('service_healthy');
        expect(compose.services[name]?.healthcheck).toBeDefined();
      }
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });

  test('mounts files and volumes that there are', () => {
    const sources = Object.values(compose.services).flatMap(({ volumes = [] }) =>
      volumes.map((mount) => mount.split(':')[0] ?? ''),
    );
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) {
      if (!source.startsWith('./')) expect(Object.keys(compose.volumes)).toContain(source);
      else expect(readdirSync(join(DEPLOY, source, '..'))).toContain(source.split('/').at(-1));
    }
  });

  test('lets Prometheus in', () => {
    const { scrape_configs } = parse(read('prometheus/prometheus.yaml')) as {
      scrape_configs: { authorization: object; dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    const [scrape] = scrape_configs;
    expect(scrape?.authorization).toEqual({ credentials: composed.ADMIN_TOKEN });
    expect(scrape?.dns_sd_configs).toMatchObject([{ names: ['bridge'], port: settingsOf(composed).adminPort }]);
  });
});

describe.each([
  ['nginx.conf', /keepalive_timeout (\d+s)/, /proxy_read_timeout (\d+s)/],
  ['haproxy.cfg', /pool-purge-delay (\d+s)/, /timeout server (\d+s)/],
])('%s', (name, idle, wait) => {
  const text = uncommented(name);

  test('closes idle connections before the bridge does, and waits longer than a sender may ask for', async () => {
    const { bridge } = await startTestBridge({ routing: CHAT });
    const answer = await fetch(`${bridge.url}/livez`);
    const kept = /timeout=(\d+)/.exec(answer.headers.get('keep-alive') ?? '')?.[1];
    expect(seconds(idle.exec(text)?.[1] ?? '')).toBeLessThan(Number(kept));
    expect(seconds(wait.exec(text)?.[1] ?? '')).toBeGreaterThan(20);
  });

  test('sends no webhook twice, and logs no query string', () => {
    expect(text).not.toMatch(/non_idempotent|empty-response|response-timeout|all-retryable-errors|junk-response/);
    expect(text).not.toMatch(
      /\$(request|request_uri|args|query_string|is_args|http_referer)\b|option httplog|%r\b|%HU|%HQ/,
    );
  });

  test('tells the bridge who asks, and as what', () => {
    for (const header of ['X-Forwarded-Proto', 'X-Forwarded-Host']) expect(text).toContain(header);
    expect(text).toMatch(/X-Forwarded-For \$proxy_add_x_forwarded_for|option forwardfor/);
  });
});

test('nginx.conf takes bodies as large as compose.yaml lets the bridge take', () => {
  const [, mebibytes] = /client_max_body_size (\d+)m;/.exec(uncommented('nginx.conf')) ?? [];
  expect(Number(mebibytes) * 1024 * 1024).toBe(settingsOf(composed).bodyLimitBytes);
});

describe('the manifests for Kubernetes', () => {
  test('set what the bridge knows and understands', () => {
    expect(unknownNames({ ...secrets, ...written }, routingFile)).toEqual([]);
    expect(Object.keys(filled).sort()).toEqual(Object.keys(secrets).sort());
    const settings = settingsOf({ ...filled, ...written });
    expect(settings.adminHost).toBe('0.0.0.0');
    expect(parseRouting(routingFile, 'routing.yaml', filled).channels.size).toBe(1);
  });

  test('hold no secret; as they are, the bridge refuses to start and names each', () => {
    expect(new Set(Object.values(secrets))).toEqual(new Set(['']));
    const empty = { ...written, ...secrets };
    for (const name of ['DATABASE_URL', 'ADMIN_TOKEN'])
      expect(() => readSettings(empty)).toThrow(`${name}: it is set to nothing`);
    for (const name of ['HAPTIK_BASE_URL', 'HAPTIK_CLIENT_ID', 'HAPTIK_TOKEN', 'CHAT_KEY'])
      expect(() => parseRouting(routingFile, 'routing.yaml', empty)).toThrow(`\${${name}} is empty`);
  });

  test('leave more time to stop than the bridge may take, and let a pod come before one goes', () => {
    const { shutdownDelayMs, shutdownGraceMs } = settingsOf({ ...filled, ...written });
    expect(shutdownDelayMs).toBeGreaterThanOrEqual(5_000);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan((shutdownDelayMs + shutdownGraceMs) / 1_000);
    expect(manifest<Deployment>('Deployment').spec.strategy.rollingUpdate.maxUnavailable).toBe(0);
  });

  test('have the bridge’s ports throughout', () => {
    const { port, adminPort } = settingsOf({ ...filled, ...written });
    expect(container.ports.map(({ name, containerPort }) => [name, containerPort])).toEqual([
      ['http', port],
      ['admin', adminPort],
    ]);
    type Service = { readonly ports: readonly { readonly targetPort: string }[] };
    expect(manifest<Service>('Service').spec.ports).toMatchObject([{ targetPort: 'http' }]);
    expect(manifest<Service>('Service', 'haptik-bridge-admin').spec.ports).toMatchObject([{ targetPort: 'admin' }]);
    type Policy = { readonly ingress: readonly { readonly ports: readonly object[] }[] };
    const ingress = manifest<Policy>('NetworkPolicy').spec.ingress;
    expect(ingress.map(({ ports }) => ports)).toEqual([[{ port }], [{ port: adminPort }]]);
  });

  test('ask whether it lives, and whether it can store', async () => {
    expect(container.startupProbe.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(container.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' });
  });

  test('run it without rights that it does not need, writing where it may', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container.volumeMounts.map(({ name }) => name)).toEqual(pod.volumes.map(({ name }) => name));
    // Where the image's own `data` leads.
    expect(container.volumeMounts.find(({ name }) => name === 'data')?.mountPath).toBe('/data');
    expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toContain('ln -s /data data');
  });

  test('select each other', () => {
    const { selector, template } = manifest<Deployment>('Deployment').spec;
    const own = selector.matchLabels;
    expect(template.metadata.labels).toEqual(own);
    expect(manifest<object>('Service').spec).toMatchObject({ selector: own });
    expect(manifest<object>('Service', 'haptik-bridge-admin').spec).toMatchObject({ selector: own });
    expect(manifest<object>('PodDisruptionBudget').spec).toMatchObject({ selector: { matchLabels: own } });
    expect(manifest<object>('NetworkPolicy').spec).toMatchObject({ podSelector: { matchLabels: own } });
    const monitor = parse(read('kubernetes/monitoring/servicemonitor.yaml')) as {
      spec: { jobLabel: string; selector: { matchLabels: Record<string, string> } };
    };
    const { labels = {} } = manifest('Service', 'haptik-bridge-admin').metadata;
    expect(labels).toEqual(monitor.spec.selector.matchLabels);
    expect(labels[monitor.spec.jobLabel]).toBe('haptik-bridge');
  });

  test('are all in kustomization.yaml', () => {
    const { resources } = parse(read('kubernetes/kustomization.yaml')) as { resources: string[] };
    const files = readdirSync(join(DEPLOY, 'kubernetes')).filter((name) => name.endsWith('.yaml'));
    expect([...resources, 'kustomization.yaml', 'routing.yaml'].sort()).toEqual(files.sort());
  });

  test('scale by what the adapter offers', () => {
    type Scaler = {
      readonly metrics: readonly { readonly external?: { readonly metric: { readonly name: string } } }[];
    };
    const asked = manifest<Scaler>('HorizontalPodAutoscaler').spec.metrics.flatMap(({ external }) => external ?? []);
    expect(asked.map(({ metric }) => metric.name)).toEqual(adapter.rules.external.map(({ name }) => name.as));
  });
});

describe('what watches it', () => {
  interface Panel {
    readonly id: number;
    readonly title: string;
    readonly type: string;
    readonly targets?: readonly { readonly expr: string }[];
  }
  const dashboard = JSON.parse(read('grafana/dashboard.json')) as { readonly panels: readonly Panel[] };
  const { groups } = parse(read('prometheus/alerts.yaml')) as {
    groups: { rules: { alert: string; expr: string; labels: object; annotations: object }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');
  const queries = [
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...rules.map(({ expr }) => expr),
    ...adapter.rules.external.map(({ metricsQuery }) => metricsQuery),
  ];

  test('asks for metrics that there are', async () => {
    const { text } = await new Metrics().render([], 0, 0);
    const offered = new Set(['up']);
    for (const [, name = '', type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
      const names = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name];
      for (const one of names) offered.add(one);
    }
    const asked = queries.flatMap((query) => query.match(/\b(?:haptik_bridge|process|nodejs)_\w+|\bup\b/g) ?? []);
    expect(asked.length).toBeGreaterThan(30);
    expect(asked.filter((name) => !offered.has(name))).toEqual([]);
  });

  test('never adds up over replicas what all of them share', () => {
    const shared = /haptik_bridge_(waiting|oldest_waiting_seconds|dead|unknown|stopped_\w+|held)\b/g;
    for (const query of queries) {
      for (const { index } of query.matchAll(shared)) {
        expect(query.slice(0, index)).toMatch(/max( by \(account\))? ?\($/);
      }
    }
  });

  test('has panels with a name and a query, each with an id of its own', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    for (const { title, targets = [] } of panels) expect([title, targets.length]).not.toContainEqual(0);
  });

  test('has alerts that say how bad it is, and what it means', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { labels, annotations } of rules) {
      expect(labels).toEqual({ severity: expect.stringMatching(/^(critical|warning|info)$/) });
      expect(annotations).toEqual({ summary: expect.any(String), description: expect.any(String) });
    }
  });
});

describe('the README there', () => {
  test('names every file, and no other', () => {
    const files = readdirSync(DEPLOY, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'README.md')
      .map((entry) => join(entry.parentPath, entry.name).slice(DEPLOY.length + 1));
    const rows = [...read('README.md').matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
    );
    const covered = (file: string) => rows.some((row) => (row.endsWith('/') ? file.startsWith(row) : file === row));
    expect(files.filter((file) => !covered(file))).toEqual([]);
    expect(rows.filter((row) => !files.some((file) => file.startsWith(row)))).toEqual([]);
  });
});
