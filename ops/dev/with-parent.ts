import { Socket } from 'node:net';

/**
 * Preloaded into the service in development: file descriptor 3 is a line to the launcher. It breaks when the launcher
 * is killed without a chance to stop anything; the service then drains as on SIGTERM instead of holding its port.
 */
const DRAIN_MS = 15_000;

new Socket({ fd: 3, readable: true, writable: false })
  .on('error', () => undefined)
  .on('close', () => {
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), DRAIN_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  })
  .resume()
  .unref();
