# syntax=docker/dockerfile:1
# Build: everything, development packages included.
FROM docker.io/library/node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json nest-cli.json ./
COPY src ./src
COPY migrations ./migrations
RUN npm run build

# Packages of the running service alone: no development packages, no embedded Node or PostgreSQL.
FROM docker.io/library/node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force

# The Klaviyo stand-in, for trying things out: `docker compose --profile sandbox up`. Never part of the service's image.
FROM docker.io/library/node:24-bookworm-slim AS sandbox
WORKDIR /sandbox
COPY test/sandbox ./
# Inside a container the sandbox has to listen beyond loopback; publish its port to nobody.
ENV SANDBOX_ALLOW_ANY_HOST=true
USER node
EXPOSE 4010
CMD ["node", "main.ts", "--host", "0.0.0.0", "--port", "4010", "--demo"]

FROM docker.io/library/node:24-bookworm-slim AS service
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages --chown=root:root /app/node_modules ./node_modules
COPY --from=build --chown=root:root /app/dist ./dist
COPY --chown=root:root package.json LICENSE ./
USER node
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/health/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/src/main.js"]
