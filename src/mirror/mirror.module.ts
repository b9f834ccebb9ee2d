import { Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MirrorState } from './mirror-state.entity';
import { MirrorStatesRepository } from './mirror-states.repository';
import { MirrorService } from './mirror.service';
import { Syncers } from './syncers';

@Global()
@Module({
  imports: [TypeOrmModule.forFeature([MirrorState])],
  providers: [Syncers, MirrorStatesRepository, MirrorService],
  exports: [Syncers, MirrorStatesRepository, MirrorService],
})
export class MirrorModule {}
