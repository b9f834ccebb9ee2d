import { Logger } from '@nestjs/common';
import { QueryFailedError } from 'typeorm';
import { AppError } from '../../src/common/errors';
import { runInContext } from '../../src/common/request-context';
import { LogOutput } from '../../src/observability/log-output';
import { createPino, ServiceLogger } from '../../src/observability/logger';
import { Redactor } from '../../src/observability/redaction';

class Memory extends LogOutput {
  readonly lines: string[] = [];
  override write(line: string): void {
    this.lines.push(line);
  }
  override flush(): void {
    // Nothing is buffered.
  }
  last(): ReturnType<typeof JSON.parse> {
    return JSON.parse(this.lines.at(-1) ?? '{}');
  }
}

const output = new Memory();
const logger = new ServiceLogger(createPino({ logLevel: 'trace', role: 'all' }, output, new Redactor()));

beforeEach(() => {
  output.lines.length = 0;
  Logger.overrideLogger(logger);
});

describe('A log line', () => {
  it('is one JSON object with level, time, message and context', () => {
    new Logger('Sync').log('Started');
    expect(output.lines[0]?.endsWith('}\n')).toBe(true);
    expect(output.last()).toMatchObject({
      level: 'info',
      msg: 'Started',
      context: 'Sync',
      service: 'klaviyo',
      role: 'all',
    });
    expect(new Date(output.last().time).toISOString()).toBe(output.last().time);
  });

  it('carries the fields given beside the message, or as the message', () => {
    new Logger('Sync').warn('Page refused', { operation: 'getLists', status: 429 });
    expect(output.last()).toMatchObject({ msg: 'Page refused', operation: 'getLists', status: 429, context: 'Sync' });
    new Logger('Sync').verbose({ msg: 'Waiting', ms: 12 });
    expect(output.last()).toMatchObject({ level: 'trace', msg: 'Waiting', ms: 12, context: 'Sync' });
  });

  it('made during a call names the call, the user and the connection', () => {
    const context = {
      requestId: 'req-12345678',
      language: 'fr' as const,
      deadline: 0,
      userId: 42,
      connectionId: 'c-1',
    };
    runInContext(context, () => new Logger('Lists').debug('Read'));
    expect(output.last()).toMatchObject({ requestId: 'req-12345678', userId: 42, connectionId: 'c-1' });
    new Logger('Lists').debug('Outside');
    expect(output.last()).not.toHaveProperty('requestId');
  });

  it('has a sentence even where only an error is logged', () => {
    new Logger('Jobs').error(new Error('it broke'));
    expect(output.last()).toMatchObject({
      level: 'error',
      msg: 'it broke',
      err: { name: 'Error', message: 'it broke' },
    });
    expect(output.last().err.stack).toContain('logs.spec');
  });

  it('keeps the message and the stack that Nest’s own handlers give as text', () => {
    const error = new Error('inside');
    new Logger('ExceptionsHandler').error('inside', error.stack);
    expect(output.last()).toMatchObject({ msg: 'inside', err: { message: 'inside' }, context: 'ExceptionsHandler' });
  });

  it('tells code, status and reason of our own errors, and their causes', () => {
    const cause = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET', config: { headers: 'x' } });
    new Logger('X').error(
      'failed',
      Object.assign(new AppError('KLAVIYO_UNAVAILABLE', { reason: 'dropped line' }), { cause }),
    );
    expect(output.last().err).toMatchObject({
      name: 'AppError',
      code: 'KLAVIYO_UNAVAILABLE',
      status: 502,
      reason: 'dropped line',
      cause: { code: 'ECONNRESET', message: 'socket hang up' },
    });
    expect(output.last().err.cause).not.toHaveProperty('config');
  });

  it('tells SQLSTATE and constraint of a failed statement, and nothing of its values', () => {
    const driver = Object.assign(new Error('invalid input syntax for type uuid: "Bob Smith"'), {
      code: '23505',
      constraint: 'uq_connection',
      severity: 'ERROR',
      routine: 'x',
      detail: 'Key (name)=(Bob Smith) already exists.',
    });
    new Logger('X').error(new QueryFailedError('INSERT INTO t VALUES ($1)', ['Bob Smith'], driver));
    new Logger('X').error(driver);
    new Logger('X').error('failed', { cause: driver });
    expect(output.lines.join('')).not.toMatch(/Bob|INSERT/);
    expect(JSON.parse(output.lines[0]!).err).toMatchObject({ sqlState: '23505', constraint: 'uq_connection' });
    expect(JSON.parse(output.lines[1]!).msg).toBe('statement failed (23505)');
  });
});

describe('Redaction by name', () => {
  it('takes out secrets and personal data at any depth, numbers and lists included', () => {
    new Logger('X').log('call', {
      Authorization: 'abc',
      privateApiKey: 'abc',
      ServiceSecret: 'abc',
      refresh_token: ['abc', 'abc'],
      a: { b: [{ password: 12345, email: 'abc', phone_number: 336, firstName: 'abc', c: { headers: { x: 'abc' } } }] },
      operation: 'getLists',
    });
    expect(output.lines[0]).not.toMatch(/abc|12345|336/);
    expect(output.last()).toMatchObject({ operation: 'getLists', a: { b: [{ password: '[redacted]' }] } });
  });

  it('keeps the id of an encryption key and drops the query of an address', () => {
    new Logger('X').log('call', { keyId: 'k1', url: 'https://a.klaviyo.com/api/lists?filter=equals(name,"Bob")' });
    expect(output.last()).toMatchObject({ keyId: 'k1', url: 'https://a.klaviyo.com/api/lists' });
  });

  it('survives circles, depth, size and strange values', () => {
    const circle: Record<string, unknown> = {
      n: 1n,
      f: () => 1,
      d: new Date(NaN),
      u: undefined,
      buffer: Buffer.from('x'),
    };
    circle.self = circle;
    let deep: Record<string, unknown> = {};
    for (let i = 0; i < 50; i++) deep = { deep };
    new Logger('X').log('odd', circle, {
      deep,
      many: Array.from({ length: 10_000 }, (_, i) => i),
      long: 'x'.repeat(1e6),
    });
    expect(output.last()).toMatchObject({ n: '1', self: { n: '1', self: '[circular]' }, buffer: '[1 bytes]' });
    expect(output.lines[0]!.length).toBeLessThan(20_000);
  });

  it('cleans a long text before it is cut', () => {
    new Logger('X').log('long', { text: `${'x'.repeat(7990)} pk_abcdefgh0123456789` });
    expect(output.lines[0]).not.toContain('pk_');
  });
});

describe('Redaction by value', () => {
  it('reaches messages, stacks, child bindings and plain strings', () => {
    const error = new Error('refused for bob@example.com with pk_0123456789abcdef');
    new Logger('X').error(error);
    new Logger('bob@example.com').log('Bearer abcdef0123456789');
    new Logger('X').log({ anything: ['whsec_abcdefgh', { x: 'postgres://me:secret@db/x' }] });
    expect(output.lines).toHaveLength(3);
    expect(output.lines.join('')).not.toMatch(/bob@|pk_0123|abcdef|me:secret/);
  });
});
