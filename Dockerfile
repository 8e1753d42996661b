FROM node:26-slim

WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev && npm cache clean --force
COPY src ./src
COPY routing.example.yaml openapi.yaml ./

# The one place that is written to: the database and, beside it, the compile cache and the last versions of the routing
# file; where the database is PostgreSQL, those alone. The root may be read-only.
RUN mkdir /data && chown node:node /data && ln -s /data data
VOLUME /data
ENV NODE_ENV=production \
    DATABASE_URL=sqlite:/data/bridge.db \
    ROUTING_FILE=/config/routing.yaml

USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 8080}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

# Node itself is PID 1, so that SIGTERM reaches it.
CMD ["node", "src/cli.ts", "serve"]
