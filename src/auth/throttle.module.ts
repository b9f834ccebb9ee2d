import { Module } from '@nestjs/common';
import { ThrottleStorage } from './throttle.storage';

/** Holds the counters apart, so that @nestjs/throttler's own module can be given them. */
@Module({ providers: [ThrottleStorage], exports: [ThrottleStorage] })
export class ThrottleModule {}
